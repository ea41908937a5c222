/** How a command ended, for scripts. */
export const EXIT = {
  ok: 0,
  someFailed: 1,
  /** The arguments make no sense, or nothing could be begun. */
  usage: 2,
  interrupted: 130,
} as const;
