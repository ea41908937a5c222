/** Colours of the theme that is in force, for canvases. */

const LEVELS = 256;

export function themeColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** (256 x RGBA) from the floor to the loudest level of a spectrogram. */
export function levelColours(): Uint8ClampedArray {
  const canvas = new OffscreenCanvas(LEVELS, 1);
  const context = canvas.getContext('2d')!;
  const gradient = context.createLinearGradient(0, 0, LEVELS - 1, 0);
  const stops = themeColour('--levels').split(',');
  for (const [i, colour] of stops.entries()) {
    gradient.addColorStop(i / (stops.length - 1), colour.trim());
  }
  context.fillStyle = gradient;
  context.fillRect(0, 0, LEVELS, 1);
  return context.getImageData(0, 0, LEVELS, 1).data;
}

/** Calls back when the visitor's system changes between light and dark. */
export function onThemeChange(draw: () => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
}
