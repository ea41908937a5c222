/** What the page asked, for a terminal. */
export interface CurlRequest {
  /** Of the operation, query included. */
  readonly url: string;
  /** In the current folder. */
  readonly fileName: string;
  /** Where the file is fetched from first; undefined for one that lies there. */
  readonly fileUrl?: string | undefined;
  /** The service wants a key, which is never shown: it comes from the environment. */
  readonly hasKey?: boolean;
}

/** A command for a POSIX shell that asks what the page asked. */
export function curlCommand({ url, fileName, fileUrl, hasKey = false }: CurlRequest): string {
  const key = hasKey ? ['-H "Authorization: Bearer $EARSHOT_API_KEY"'] : [];
  const file = quoted(`file=@${formName(fileName)}`);
  const ask = ['curl', ...key, '-F', file, quoted(url)].join(' ');
  return fileUrl === undefined ? ask : `curl -sO ${quoted(fileUrl)} && ${ask}`;
}

/** curl ends a file name at `,` and `;` unless it stands in quotes, in which `\` and `"` are escaped. */
function formName(name: string): string {
  return /[,;"\\]/.test(name) ? `"${name.replace(/[\\"]/g, '\\$&')}"` : name;
}

/** As one word of a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
