declare module 'webvtt-parser' {
  /** The parser of the specification's author. Its cue trees are not used: they garble escapes. */
  export class WebVTTParser {
    parse(
      text: string,
      mode: 'captions',
    ): {
      cues: { startTime: number; endTime: number; text: string }[];
      errors: { message: string; line: number }[];
    };
  }
}
