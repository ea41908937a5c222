import { isDecoderName } from './arguments.js';

const MAX_LINE_CHARACTERS = 2_000;
const MAX_REASON_CHARACTERS = 200;

/** `[error] reason`, behind the name of a part of ffmpeg and its address. */
const ERROR_LINE = /^(?:\[[^\]]* @ 0x[0-9a-f]+\] )?\[(?:error|fatal)\] (.+)$/;
/** `Stream #0:1 -> #0:0 (aac (native) -> pcm_f32le (native))`, where the input begins. */
const MAPPING_LINE = /^\[info\]\s+Stream #0:\d+ -> #0:0 \((\w+) \((\w+)\)/;

/** What matters of the lines that ffmpeg writes; the rest, which a clip can make as long as it likes, is dropped. */
export class FfmpegLog {
  readonly #path: string;
  #line = '';
  #codec: string | undefined;
  #reason: string | undefined;

  /** @param path of the clip, which is not told to anybody */
  constructor(path: string) {
    this.#path = path;
  }

  /** Of the stream that is decoded, in ffmpeg's naming. */
  get codec(): string | undefined {
    return this.#codec;
  }

  /** Its first complaint. */
  get reason(): string | undefined {
    return this.#reason;
  }

  push(text: string): void {
    const [first = '', ...others] = text.split('\n');
    this.#append(first);
    for (const part of others) {
      this.#read(this.#line);
      this.#line = '';
      this.#append(part);
    }
  }

  #append(text: string): void {
    this.#line += text.slice(0, MAX_LINE_CHARACTERS - this.#line.length);
  }

  #read(line: string): void {
    const [, codec = '', decoder = ''] = MAPPING_LINE.exec(line) ?? [];
    if (isDecoderName(decoder === 'native' ? codec : decoder)) this.#codec ??= codec;
    const [, reason] = ERROR_LINE.exec(line) ?? [];
    if (reason !== undefined) this.#reason ??= this.#cleaned(reason);
  }

  #cleaned(reason: string): string {
    return reason
      .replaceAll(`file:${this.#path}`, 'the clip')
      .replaceAll(this.#path, 'the clip')
      .replace(/[^ -~]/g, '?')
      .slice(0, MAX_REASON_CHARACTERS);
  }
}
