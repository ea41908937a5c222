/** 3.2 -> `0:03.2`, 83 -> `1:23.0`, 3723 -> `1:02:03.0`. */
export function clockTime(seconds: number): string {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  const [h, m, s] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60, tenths % 600];
  const rest = `${String(Math.floor(s / 10)).padStart(2, '0')}.${s % 10}`;
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${rest}` : `${m}:${rest}`;
}

/** 5 -> `5.0 s`, 200 -> `3 min 20 s`. */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const parts: [number, string][] = [
    [h, 'h'],
    [m, 'min'],
    [s, 's'],
  ];
  return parts
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

const STEPS_SECONDS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600,
];

/** The smallest round step of which at most so many fit into a time. */
export function roundStep(seconds: number, atMost: number): number {
  return STEPS_SECONDS.find((step) => seconds / step <= atMost) ?? Math.ceil(seconds / atMost);
}

/** A round time on an axis, as short as the step allows. */
export function tickLabel(seconds: number, stepSeconds: number): string {
  const full = clockTime(seconds);
  return stepSeconds < 1 ? full : full.replace(/\.\d$/, '');
}
