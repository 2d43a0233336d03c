// Sends the orders of a file, each until its outcome is known.
//
//     node producer.ts LEDGER orders.csv
//
// A line of the file is `id,source,destination,unit,amount`. Kill it whenever you like and run it again: an order that
// was decided before is answered with the outcome that it had, for its id is the same.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  Admin, Consumer, ProduceAcks, Producer, compatibilityPartitioner, stringDeserializers, stringSerializers
} from '@platformatic/kafka'

const AGAIN_AFTER_MS = 5_000
const [ledger, file] = process.argv.slice(2)
const prefix = process.env.DEFTER_PREFIX ?? 'defter.'
const commands = `${prefix}commands`
const replies = `${prefix}replies.typescript`
const kafka = { clientId: 'orders', bootstrapBrokers: (process.env.DEFTER_KAFKA ?? 'localhost:9092').split(',') }

/** What one line asks for. The amount stays the text that it is: a number would be rounded above 2^53. */
function command (line: string): [id: string, json: string] {
  const [id, source, destination, unit, amount] = line.split(',')
  // An outcome is told under the command's id: without one, an order would be sent for ever.
  if (!/^[!-~]{1,128}$/.test(id)) throw new Error(`no id of a command: ${id}`)
  return [id, JSON.stringify({ type: 'transfer.v1', id, ledger, movements: [{ source, destination, unit, amount }] })]
}

/** Makes the topic for replies, once; Defter writes to topics that are there. */
async function makeTopic (): Promise<void> {
  const admin = new Admin(kafka)
  if (!(await admin.listTopics()).includes(replies)) {
    await admin.createTopics({ topics: [replies], partitions: 1, replicas: -1 })
  }
  await admin.close()
}

await makeTopic()
// Nothing rests on Kafka's groups, so each run has one of its own, and waits for no other.
const consumer = new Consumer({ ...kafka, groupId: randomUUID(), deserializers: stringDeserializers })
const ends = (await consumer.listOffsets({ topics: [replies] })).get(replies)!
const told = await consumer.consume({
  topics: [replies],
  mode: 'manual',
  offsets: ends.map((offset, partition) => ({ topic: replies, partition, offset })),
  autocommit: false,
  maxWaitTime: 500
})

const producer = new Producer({
  ...kafka,
  serializers: stringSerializers,
  idempotent: true,
  // Where Java's default puts a key. This library's own default differs from it unless partitions are a power of two.
  partitioner: compatibilityPartitioner
})
const open = new Map(readFileSync(file, 'utf8').split('\n').filter(Boolean).map(command))

async function sendWhatIsOpen (): Promise<void> {
  const messages = [...open.values()].map((value) => ({
    topic: commands, key: ledger, value, headers: { 'reply-to': replies }
  }))
  // What could not be sent has no outcome either, and is sent again.
  await producer.send({ acks: ProduceAcks.ALL, messages }).catch((error) => console.error(error.message))
}

const again = setInterval(sendWhatIsOpen, AGAIN_AFTER_MS)
await sendWhatIsOpen()
for await (const { value } of told) {
  const reply = JSON.parse(value)
  // Replies come at least once, and others may ask for theirs on the same topic.
  if (reply.ledger !== ledger || !open.delete(reply.command)) continue
  console.log(reply.command, reply.outcome, ...(reply.reason ? [reply.reason] : []))
  if (open.size === 0) break
}
clearInterval(again)
await Promise.all([producer.close(), consumer.close(true)])
