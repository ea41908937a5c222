/** What is painted, and in which colour on a light and on a dark page. */
const COLORS = {
  page: { light: '#ffffff', dark: '#11161c' },
  panel: { light: '#f2f4f7', dark: '#1a212a' },
  text: { light: '#17202b', dark: '#e8edf2' },
  muted: { light: '#55616e', dark: '#9eabb8' },
  grid: { light: '#d3d9e0', dark: '#303b47' },
  wave: { light: '#3a6ea5', dark: '#82b4ea' },
  bar: { light: '#0b7a70', dark: '#35d0bd' },
} as const;

export type Paint = keyof typeof COLORS;

export const FONT_FAMILY = "'Atkinson Hyperlegible', system-ui, sans-serif";

/** Light by attributes, which every reader of SVG knows; dark by a rule on top, where it is preferred. */
export const paint = (name: Paint) => ({ class: name, fill: COLORS[name].light });

export const DARK_STYLE = `@media (prefers-color-scheme: dark) {${Object.entries(COLORS)
  .map(([name, { dark }]) => `.${name}{fill:${dark}}`)
  .join('')}}`;
