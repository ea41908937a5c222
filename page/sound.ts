/** One recording that is to be heard. */
export interface Sound {
  readonly name: string;
  readonly bytes: Blob;
  /** Where a terminal can fetch it; undefined for a file of the visitor. */
  readonly url?: string;
  /** Exists in this page only, until it is saved. */
  readonly isRecording?: boolean;
}
