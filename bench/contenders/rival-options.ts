export interface RivalOptions {
  /** As the table has it. */
  readonly name: string;
  /** File of float32 at 16 kHz. */
  readonly waveform: string;
}
