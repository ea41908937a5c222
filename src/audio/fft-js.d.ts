/** The part of fft.js that is used here; the package brings no types. */
declare module 'fft.js' {
  export default class FFT {
    /** @param size a power of two */
    constructor(size: number);
    /** Interleaved real and imaginary parts, room for `size` of them. */
    createComplexArray(): number[];
    /** Fills the first half of `output`, up to the highest frequency, with the transform of real values. */
    realTransform(output: number[], input: ArrayLike<number>): void;
  }
}
