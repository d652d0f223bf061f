/**
 * An IP address in the form that Go prints: IPv4 dotted (also where it is written as IPv6), IPv6 in lower case with
 * the longest run of zeros left out. `undefined` if the text is no address.
 */
export function canonicalIp(text: string): string | undefined {
  if (/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text)) return text;
  if (!text.includes(":") || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  let host: string;
  try {
    // The URL standard's serialiser follows the same rules (RFC 5952).
    host = new URL(`http://[${text}]`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(host);
  if (mapped === null) return host;
  const high = Number.parseInt(mapped[1] ?? "", 16);
  const low = Number.parseInt(mapped[2] ?? "", 16);
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
