import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends the orders of a file, each until its outcome is known.
 *
 * <pre>java -cp "$KAFKA_JARS/*" Producer.java LEDGER orders.csv</pre>
 *
 * A line of the file is {@code id,source,destination,unit,amount}. Kill it whenever you like and run it again: an order
 * that was decided before is answered with the outcome that it had, for its id is the same.
 */
public class Producer {
    static final Duration AGAIN_AFTER = Duration.ofSeconds(5);
    static final ObjectMapper JSON = new ObjectMapper();
    static final String SERVERS = System.getenv().getOrDefault("DEFTER_KAFKA", "localhost:9092");
    static final String PREFIX = System.getenv().getOrDefault("DEFTER_PREFIX", "defter.");
    static final String COMMANDS = PREFIX + "commands";
    static final String REPLIES = PREFIX + "replies.java";

    public static void main(String[] arguments) throws Exception {
        String ledger = arguments[0];
        Map<String, String> open = new LinkedHashMap<>();
        for (String line : Files.readAllLines(Path.of(arguments[1]))) {
            open.put(line.substring(0, line.indexOf(',')), command(ledger, line.split(",")));
        }
        makeTopic();
        try (var replies = new KafkaConsumer<>(consumer(), new StringDeserializer(), new StringDeserializer());
                var commands = new KafkaProducer<>(producer(), new StringSerializer(), new StringSerializer())) {
            listen(replies);
            while (!open.isEmpty()) {
                // What cannot be sent has no outcome either, and is sent again.
                open.values().forEach(command -> commands.send(asking(ledger, command)));
                commands.flush();
                takeOff(open, ledger, replies);
            }
        }
    }

    /**
     * What one line asks for. The amount stays the text that it is: a double would be rounded above 2^53. An outcome is
     * told under the command's id: without one, an order would be sent for ever.
     */
    static String command(String ledger, String[] order) {
        if (!order[0].matches("[!-~]{1,128}")) {
            throw new IllegalArgumentException("no id of a command: " + order[0]);
        }
        var command = JSON.createObjectNode().put("type", "transfer.v1").put("id", order[0]).put("ledger", ledger);
        command.putArray("movements").addObject()
                .put("source", order[1]).put("destination", order[2]).put("unit", order[3]).put("amount", order[4]);
        return command.toString();
    }

    /** The key is the ledger: Kafka's default partitioner (murmur2) then finds the partition that it lives in. */
    static ProducerRecord<String, String> asking(String ledger, String command) {
        var record = new ProducerRecord<>(COMMANDS, ledger, command);
        record.headers().add("reply-to", REPLIES.getBytes(StandardCharsets.UTF_8));
        return record;
    }

    /** Prints outcomes as they come and takes them off what is open, until nothing is or it is time to ask again. */
    static void takeOff(Map<String, String> open, String ledger, KafkaConsumer<String, String> replies) throws Exception {
        long until = System.nanoTime() + AGAIN_AFTER.toNanos();
        while (!open.isEmpty() && System.nanoTime() < until) {
            for (var record : replies.poll(Duration.ofMillis(100))) {
                JsonNode reply = JSON.readTree(record.value());
                // Replies come at least once, and others may ask for theirs on the same topic.
                if (reply.path("ledger").asText().equals(ledger) && open.remove(reply.path("command").asText()) != null) {
                    System.out.println((reply.get("command").asText() + " " + reply.get("outcome").asText() + " "
                            + reply.path("reason").asText()).strip());
                }
            }
        }
    }

    /** From now on; outcomes of before are told again to whoever asks again. */
    static void listen(KafkaConsumer<String, String> replies) {
        var partitions = replies.partitionsFor(REPLIES).stream().map(it -> new TopicPartition(REPLIES, it.partition())).toList();
        replies.assign(partitions);
        replies.endOffsets(partitions).forEach(replies::seek);
    }

    /** Makes the topic for replies, once; Defter writes to topics that are there. */
    static void makeTopic() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", SERVERS))) {
            if (!admin.listTopics().names().get().contains(REPLIES)) {
                admin.createTopics(List.of(new NewTopic(REPLIES, Optional.of(1), Optional.empty()))).all().get();
            }
        }
    }

    static Map<String, Object> producer() {
        return Map.of("bootstrap.servers", SERVERS, "acks", "all", "enable.idempotence", true);
    }

    static Map<String, Object> consumer() {
        return Map.of("bootstrap.servers", SERVERS, "client.id", "orders-" + UUID.randomUUID());
    }
}
