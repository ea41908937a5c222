/**
 * ffmpeg's readers for what the sniffer finds. A reader that is not named cannot be tricked into opening other files:
 * playlists and lists of parts are files of their own kind to ffmpeg.
 */
const DEMUXERS: Readonly<Record<string, string>> = {
  wav: 'wav',
  w64: 'w64',
  aiff: 'aiff',
  caf: 'caf',
  au: 'au',
  flac: 'flac',
  mp3: 'mp3',
  ogg: 'ogg',
  mp4: 'mov',
  webm: 'matroska',
  matroska: 'matroska',
  adts: 'aac',
  amr: 'amr',
  asf: 'asf',
  mpegts: 'mpegts',
  mpegps: 'mpeg',
  ac3: 'ac3,eac3',
  wavpack: 'wv',
  ape: 'ape',
  avi: 'avi',
  dts: 'dts',
  flv: 'flv',
  tta: 'tta',
};

/** Decoders of sound that may run; in ffmpeg's own names. */
const DECODERS = [
  ...['aac', 'aac_fixed', 'aac_latm', 'ac3', 'ac3_fixed', 'eac3', 'alac', 'ape', 'cook', 'dca'],
  ...['amrnb', 'amrwb', 'libopencore_amrnb', 'libopencore_amrwb', 'atrac1', 'atrac3', 'atrac3p'],
  ...['flac', 'g722', 'g723_1', 'g729', 'gsm', 'gsm_ms', 'libgsm', 'libgsm_ms', 'ilbc', 'qcelp'],
  ...['mp1', 'mp1float', 'mp2', 'mp2float', 'mp3', 'mp3float', 'mp3adu', 'mp3adufloat'],
  ...['opus', 'libopus', 'vorbis', 'libvorbis', 'speex', 'libspeex', 'nellymoser', 'qdm2', 'qdmc'],
  ...['mace3', 'mace6', 'mlp', 'truehd', 'tta', 'truespeech', 'wavpack', 'evrc', 'sipr', 'shorten'],
  ...['wmav1', 'wmav2', 'wmalossless', 'wmapro', 'wmavoice', 'ra_144', 'ra_288', 'ralf', 'tak'],
  ...['adpcm_ms', 'adpcm_ima_wav', 'adpcm_ima_qt', 'adpcm_yamaha', 'adpcm_swf', 'adpcm_g722'],
  ...['adpcm_g726', 'adpcm_g726le', 'adpcm_4xm', 'adpcm_adx', 'adpcm_ct', 'adpcm_ima_oki'],
  ...['pcm_s8', 'pcm_u8', 'pcm_s16le', 'pcm_s16be', 'pcm_u16le', 'pcm_u16be', 'pcm_s24le'],
  ...['pcm_s24be', 'pcm_s32le', 'pcm_s32be', 'pcm_f32le', 'pcm_f32be', 'pcm_f64le', 'pcm_f64be'],
  ...['pcm_alaw', 'pcm_mulaw', 'pcm_bluray', 'pcm_dvd', 'pcm_lxf', 'pcm_vidc', 'pcm_s8_planar'],
] as const;

/** Whether ffmpeg has a reader for such a container that may run. */
export const canRead = (container: string): boolean => Object.hasOwn(DEMUXERS, container);

/** Whether a name that ffmpeg printed is that of a decoder which may run. */
export const isDecoderName = (name: string): boolean =>
  (DECODERS as readonly string[]).includes(name);

/**
 * Arguments that make ffmpeg write the first stream of sound of a file as WAV, with all its channels and at its own
 * rate: mixing and resampling are done here, the same for every format.
 *
 * @param input `path` absolute; `container` as sniffed; no more than `maxSeconds` are decoded
 */
export function ffmpegArguments(input: {
  path: string;
  container: string;
  maxSeconds: number;
}): string[] {
  const demuxers = DEMUXERS[input.container];
  if (demuxers === undefined) throw new RangeError(`No demuxer for ${input.container}`);
  return [
    ...['-nostdin', '-hide_banner', '-nostats', '-loglevel', 'level+info', '-threads', '1'],
    ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', demuxers],
    ...['-codec_whitelist', DECODERS.join(',')],
    ...['-i', `file:${input.path}`],
    ...['-map', '0:a:0', '-vn', '-sn', '-dn', '-map_metadata', '-1'],
    ...['-t', String(input.maxSeconds), '-c:a', 'pcm_f32le', '-f', 'wav', 'pipe:1'],
  ];
}
