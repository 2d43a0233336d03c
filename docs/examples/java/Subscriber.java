import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.Utils;

/**
 * Keeps the balances of a ledger in a file of its own, each event taken in once.
 *
 * <pre>java -cp "$KAFKA_JARS/*" Subscriber.java LEDGER balances.json [SEQUENCE]</pre>
 *
 * The file holds the balances and the sequence of the last event in them, and is replaced as a whole. Kill it whenever
 * you like and run it again. With SEQUENCE it ends there, else never; when an event is missing it says so and exits 1.
 */
public class Subscriber {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String SERVERS = System.getenv().getOrDefault("DEFTER_KAFKA", "localhost:9092");
    static final String EVENTS = System.getenv().getOrDefault("DEFTER_PREFIX", "defter.") + "events";

    final Path file;
    long sequence;
    /** Where to read on: a hint, which saves reading all again. What counts is the sequence. */
    long offset;
    final Map<String, BigInteger> balances = new TreeMap<>();

    public static void main(String[] arguments) throws IOException {
        var subscriber = new Subscriber(Path.of(arguments[1]));
        subscriber.follow(arguments[0], arguments.length > 2 ? Long.parseLong(arguments[2]) : Long.MAX_VALUE);
        subscriber.balances.forEach((place, balance) -> System.out.println(place + " " + balance));
    }

    /** Reads what was kept. */
    Subscriber(Path file) throws IOException {
        this.file = file;
        if (Files.exists(file)) {
            JsonNode kept = JSON.readTree(file.toFile());
            sequence = kept.get("sequence").asLong();
            offset = kept.get("offset").asLong();
            kept.get("balances").properties().forEach(
                    it -> balances.put(it.getKey(), new BigInteger(it.getValue().textValue())));
        }
    }

    /** Takes in events up to one of them, in order, each once. */
    void follow(String ledger, long last) throws IOException {
        // Nothing rests on Kafka's groups: how far this has come stands in the file.
        Map<String, Object> settings = Map.of("bootstrap.servers", SERVERS, "auto.offset.reset", "earliest");
        try (var events = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            // A ledger's events are in one partition: where Kafka's default partitioner (murmur2) puts its name.
            int hash = Utils.toPositive(Utils.murmur2(ledger.getBytes(StandardCharsets.UTF_8)));
            var partition = new TopicPartition(EVENTS, hash % events.partitionsFor(EVENTS).size());
            events.assign(List.of(partition));
            events.seek(partition, offset);
            while (sequence < last) {
                for (var record : events.poll(Duration.ofSeconds(1))) {
                    // Many ledgers share a partition.
                    if (record.key().equals(ledger) && sequence < last && isNext(JSON.readTree(record.value()))) {
                        takeIn(JSON.readTree(record.value()));
                        offset = record.offset() + 1;
                        keep();
                    }
                }
            }
        }
    }

    /** Tells a duplicate from what is next, and ends this where an event is missing. */
    boolean isNext(JsonNode event) {
        long its = event.get("sequence").asLong();
        if (its > sequence + 1) {
            System.err.println(event.get("ledger").asText() + ": " + its + " comes after " + sequence + ": an event is missing");
            System.exit(1);
        }
        return its == sequence + 1;
    }

    /** Adds what an event says to the balances. Amounts are text; BigInteger rounds nothing. */
    void takeIn(JsonNode event) {
        if (event.get("type").asText().equals("transfer-posted.v1")) {
            for (JsonNode posting : event.get("postings")) {
                String place = posting.get("account").asText() + " " + posting.get("unit").asText();
                balances.merge(place, new BigInteger(posting.get("amount").textValue()), BigInteger::add);
            }
        }
        sequence = event.get("sequence").asLong();
    }

    /** Replaces the file: whoever kills this in between leaves the one or the other, never half of both. */
    void keep() throws IOException {
        ObjectNode kept = JSON.createObjectNode().put("sequence", sequence).put("offset", offset);
        ObjectNode amounts = kept.putObject("balances");
        balances.forEach((place, balance) -> amounts.put(place, balance.toString()));
        Path unfinished = file.resolveSibling(file.getFileName() + ".new");
        JSON.writeValue(unfinished.toFile(), kept);
        Files.move(unfinished, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }
}
