"""Examples: what a page tells people to copy, for kcat and for Java.

They ask for two variables, BROKER (Kafka's host:port) and REGISTRY (the registry's URL), and for nothing of
Confluent's: Java's are for the plain clients of Kafka and Avro, which Maven Central has.

Promises: each is whole. `tests/end_to_end/test_page_examples.py` runs them as they stand.
"""

from collections.abc import Mapping
from io import BytesIO, StringIO
from typing import Any

import fastavro

from schemas.avro_foreign import foreign_record, full_name
from schemas.metadata import METADATA_FIELD
from schemas.shape import ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape
from schemas.topics import subject_of

JARS = (
    "org.apache.kafka:kafka-clients:4.2.0",
    "org.apache.avro:avro:1.12.1",
    "com.fasterxml.jackson.core:jackson-annotations:2.19.2",
    "com.fasterxml.jackson.core:jackson-core:2.19.2",
    "com.fasterxml.jackson.core:jackson-databind:2.19.2",
    "org.slf4j:slf4j-api:1.7.36",
    "at.yawk.lz4:lz4-java:1.10.1",
)
"""What the Java examples need, by Maven coordinates."""

SEVERAL_LINES = " \\\n  "


def jars() -> str:
    """Return how to fetch what the Java examples need into the folder `jars`."""
    listed = SEVERAL_LINES.join(("", *JARS))
    return f"for jar in{listed}\ndo mvn -q dependency:copy -Dartifact=$jar -DoutputDirectory=jars; done"


def kcat_reads(topic: str) -> str:
    """Return how to read a topic with kcat, from its beginning to its end."""
    return f"kcat -b $BROKER -t {topic} -C -e -s value=avro -r $REGISTRY -f '%k %s\\n'"


def kcat_sends(topic: str, schema: Mapping[str, Any], key: str) -> str:
    """Return how to send an example with kcat: it writes bytes, so they are put together here.

    The schema's id is asked of the registry; the body is the example's, made when the page was.
    """
    name = str(schema["name"])
    asked = f"$REGISTRY/subjects/{subject_of(topic, full_name(schema))}/versions/latest"
    return (
        f"id=$(curl -s {asked} | sed 's/.*\"id\": *\\([0-9]*\\).*/\\1/')\n"
        "{ printf '\\000'; for by in 24 16 8 0; do printf \"\\\\$(printf %03o $((id >> by & 255)))\"; done\n"
        f"  printf '{_octal(example_body(schema))}'; }} > {name}.bin\n"
        f"kcat -b $BROKER -t {topic} -P -X topic.partitioner=murmur2_random -k '{example(schema)[key]}' {name}.bin"
    )


def java_reads(topic: str, schema: Mapping[str, Any]) -> str:
    """Return a Java program that prints the records of one type, from the topic's beginning, until Ctrl-C."""
    return _READ.replace("CLASS", f"Read{schema['name']}").replace("TOPIC", topic).replace("RECORD", full_name(schema))


def java_sends(topic: str, schema: Mapping[str, Any], key: str) -> str:
    """Return a Java program that sends an example."""
    return (
        _SEND.replace("CLASS", f"Send{schema['name']}")
        .replace("SUBJECT", subject_of(topic, full_name(schema)))
        .replace("TOPIC", topic)
        .replace("KEY", str(example(schema)[key]))
        .replace("VALUE", example_json(schema).replace("\\", "\\\\"))
    )


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example of a record, as fastavro takes it: metadata that says nothing, and a value for each field."""
    record = foreign_record(schema)
    own = {name: _example(name, shape) for name, shape in record.fields.items() if name != METADATA_FIELD}
    metadata = record.fields[METADATA_FIELD]
    inner = metadata.fields if isinstance(metadata, RecordShape) else {}
    return {METADATA_FIELD: dict.fromkeys(inner), **own}


def example_body(schema: Mapping[str, Any]) -> bytes:
    """Return the example as Avro, without the header of the wire format."""
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(schema)), example(schema))
    return out.getvalue()


def example_json(schema: Mapping[str, Any]) -> str:
    """Return the example in Avro's JSON encoding."""
    out = StringIO()
    fastavro.json_writer(out, fastavro.parse_schema(dict(schema)), [example(schema)])
    return out.getvalue().strip()


def _example(name: str, shape: Shape) -> Any:
    match shape:
        case RecordShape():
            return {inner: _example(inner, each) for inner, each in shape.fields.items()}
        case UnionShape():
            return _example(name, next(each.shape for each in shape.branches))
        case ArrayShape():
            return [_example(name, shape.item)]
        case MapShape():
            return {"key": _example(name, shape.item)}
        case EnumShape():
            return next(iter(shape.values))
        case _:
            return _example_scalar(name, shape.schema)


def _example_scalar(name: str, schema: Any) -> Any:
    kind, logical = (schema["type"], schema.get("logicalType")) if isinstance(schema, Mapping) else (schema, None)
    if logical == "uuid":
        return "00000000-0000-4000-8000-000000000001"
    if kind == "fixed":
        return b"\1" * int(schema["size"])
    return {"null": None, "boolean": True, "string": f"{name}-1", "bytes": b"\1"}.get(kind, 1)


def _octal(data: bytes) -> str:
    """Return bytes as printf of any shell takes them."""
    return "".join(f"\\{byte:03o}" for byte in data)


_READ = """// java -cp 'jars/*' CLASS.java $BROKER $REGISTRY
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.*;

public class CLASS {
  public static void main(String[] at) throws Exception {
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", at[0], "group.id", UUID.randomUUID().toString(), "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "isolation.level", "read_committed");
    var schemas = new HashMap<Integer, Schema>();
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of("TOPIC"));
      while (true) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          byte[] data = record.value(); // a zero byte, the schema's id in four bytes, the body
          int id = ByteBuffer.wrap(data).getInt(1);
          if (!schemas.containsKey(id)) {
            var found = new ObjectMapper().readTree(URI.create(at[1] + "/schemas/ids/" + id).toURL());
            schemas.put(id, new Schema.Parser().parse(found.get("schema").asText()));
          }
          var schema = schemas.get(id);
          if (schema.getFullName().equals("RECORD")) {
            var body = DecoderFactory.get().binaryDecoder(data, 5, data.length - 5, null);
            System.out.println(record.key() + " " + new GenericDatumReader<GenericRecord>(schema).read(null, body));
          }
        }
      }
    }
  }
}"""

_SEND = '''// java -cp 'jars/*' CLASS.java $BROKER $REGISTRY
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public class CLASS {
  public static void main(String[] at) throws Exception {
    var url = at[1] + "/subjects/SUBJECT/versions/latest";
    var found = new ObjectMapper().readTree(URI.create(url).toURL());
    var schema = new Schema.Parser().parse(found.get("schema").asText());
    var json = """
        VALUE
        """;
    var decoder = DecoderFactory.get().jsonDecoder(schema, json);
    GenericRecord value = new GenericDatumReader<GenericRecord>(schema).read(null, decoder);

    var data = new ByteArrayOutputStream(); // a zero byte, the schema's id in four bytes, the body
    data.write(ByteBuffer.allocate(5).put((byte) 0).putInt(found.get("id").asInt()).array());
    var encoder = EncoderFactory.get().binaryEncoder(data, null);
    new GenericDatumWriter<GenericRecord>(schema).write(value, encoder);
    encoder.flush();

    Map<String, Object> settings = Map.of("bootstrap.servers", at[0]);
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
      var sent = producer.send(new ProducerRecord<>("TOPIC", "KEY", data.toByteArray())).get();
      System.out.println(sent);
    }
  }
}'''
