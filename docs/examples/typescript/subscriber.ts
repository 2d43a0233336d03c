// Keeps the balances of a ledger in a file of its own, each event taken in once.
//
//     node subscriber.ts LEDGER balances.json [SEQUENCE]
//
// The file holds the balances and the sequence of the last event in them, and is replaced as a whole. Kill it whenever
// you like and run it again. With SEQUENCE it ends there, else never; when an event is missing it says so and exits 1.

import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Consumer, compatibilityPartitioner, stringDeserializers } from '@platformatic/kafka'

const [ledger, file, last] = process.argv.slice(2)
const topic = `${process.env.DEFTER_PREFIX ?? 'defter.'}events`

interface Kept {
  sequence: number
  /** Where to read on: a hint, which saves reading all again. What counts is the sequence. */
  offset: string
  /** Text of digits, by account and unit. */
  balances: Record<string, string>
}

const kept: Kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { sequence: 0, offset: '0', balances: {} }

/** Adds what an event says to the balances. Amounts are text; BigInt rounds nothing. */
function takeIn (event: any): void {
  if (event.type === 'transfer-posted.v1') {
    for (const { account, unit, amount } of event.postings) {
      const place = `${account} ${unit}`
      kept.balances[place] = String(BigInt(kept.balances[place] ?? 0) + BigInt(amount))
    }
  }
  kept.sequence = event.sequence
}

/** Replaces the file: whoever kills this in between leaves the one or the other, never half of both. */
function keep (): void {
  writeFileSync(`${file}.new`, JSON.stringify(kept))
  renameSync(`${file}.new`, file)
}

const consumer = new Consumer({
  clientId: 'balances',
  bootstrapBrokers: (process.env.DEFTER_KAFKA ?? 'localhost:9092').split(','),
  // How far this has come stands in the file, so Kafka's groups are of no use: each run has one of its own.
  groupId: randomUUID(),
  deserializers: stringDeserializers
})
const partitions = (await consumer.metadata({ topics: [topic] })).topics.get(topic)!.partitionsCount
// A ledger's events are in one partition: where Java's default partitioner (murmur2) puts its name.
const partition = compatibilityPartitioner({ topic }, Buffer.from(ledger)) % partitions
const events = await consumer.consume({
  topics: [topic],
  mode: 'manual',
  offsets: [{ topic, partition, offset: BigInt(kept.offset) }],
  autocommit: false,
  maxWaitTime: 500
})

for await (const { key, value, offset } of kept.sequence >= Number(last) ? [] : events) {
  // Many ledgers share a partition, and an event may come twice.
  if (key !== ledger) continue
  const event = JSON.parse(value)
  if (event.sequence <= kept.sequence) continue
  if (event.sequence !== kept.sequence + 1) {
    console.error(`${ledger}: ${event.sequence} comes after ${kept.sequence}: an event is missing`)
    process.exitCode = 1
    break
  }
  takeIn(event)
  kept.offset = String(offset + 1n)
  keep()
  if (kept.sequence === Number(last)) break
}
for (const place of Object.keys(kept.balances).sort()) console.log(place, kept.balances[place])
await consumer.close(true)
