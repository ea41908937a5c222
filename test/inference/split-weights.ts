/**
 * Moves the weights of an ONNX graph into a file beside it, as the export does with those of large models.
 *
 * Knows of protobuf what it takes: ModelProto.graph is field 7, GraphProto.initializer 5; of a TensorProto the bytes are
 * field 9, where else they lie is 13 (key 1, value 2), and 14 says that they do.
 */
import { Buffer } from 'node:buffer';

const GRAPH = 7;
const INITIALIZER = 5;
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const EXTERNAL = 1;
/** Smaller ones, shapes among them, stay where they are. */
const LEAST_BYTES = 1024;
const ALIGNMENT = 4096;

interface Field {
  readonly number: number;
  readonly bytes: Buffer;
  /** Of a field that holds bytes, without its head. */
  readonly content: Buffer | undefined;
}

export function splitWeights(model: Buffer, file: string): { graph: Buffer; weights: Buffer } {
  const pieces: Buffer[] = [];
  let offset = 0;
  const place = (content: Buffer): number => {
    const padding = (ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT;
    pieces.push(Buffer.alloc(padding), content);
    const start = offset + padding;
    offset = start + content.length;
    return start;
  };
  const moved = (tensor: Buffer): Buffer =>
    replace(tensor, RAW_DATA, (content) => {
      if (content.length < LEAST_BYTES) return undefined;
      const entries = { location: file, offset: place(content), length: content.length };
      const places = Object.entries(entries).map(([key, value]) =>
        lengthDelimited(EXTERNAL_DATA, Buffer.concat([text(1, key), text(2, String(value))])),
      );
      return Buffer.concat([...places, varint(DATA_LOCATION << 3), varint(EXTERNAL)]);
    });
  const graph = replace(model, GRAPH, (content) =>
    lengthDelimited(
      GRAPH,
      replace(content, INITIALIZER, (tensor) => lengthDelimited(INITIALIZER, moved(tensor))),
    ),
  );
  return { graph, weights: Buffer.concat(pieces) };
}

/** The message with each field of this number as `by` gives it, or as it was. */
function replace(
  message: Buffer,
  number: number,
  by: (content: Buffer) => Buffer | undefined,
): Buffer {
  const parts = fieldsOf(message).map((field) => {
    const isMeant = field.number === number && field.content !== undefined;
    return (isMeant ? by(field.content) : undefined) ?? field.bytes;
  });
  return Buffer.concat(parts);
}

function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  while (at < message.length) {
    const start = at;
    const [tag, afterTag] = readVarint(message, at);
    const wireType = tag & 7;
    let content: Buffer | undefined;
    if (wireType === 2) {
      const [length, begin] = readVarint(message, afterTag);
      content = message.subarray(begin, begin + length);
      at = begin + length;
    } else if (wireType === 0) at = readVarint(message, afterTag)[1];
    else at = afterTag + (wireType === 1 ? 8 : 4);
    fields.push({ number: tag >>> 3, bytes: message.subarray(start, at), content });
  }
  return fields;
}

/** Of more than 53 bits only the length is needed, which this gives all the same. */
function readVarint(bytes: Buffer, start: number): [value: number, next: number] {
  let value = 0;
  for (let at = start, scale = 1; ; at += 1, scale *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at + 1];
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.of(...bytes, rest);
}

function lengthDelimited(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

const text = (number: number, value: string) => lengthDelimited(number, Buffer.from(value));
