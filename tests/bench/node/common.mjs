// What the Node programs of the benchmarks share: options as `key=value`, samples, and one line of JSON as the result.
import { readFileSync } from 'node:fs';

/** The case and its options. */
export function options() {
  const [name, ...rest] = process.argv.slice(2);
  const values = Object.fromEntries(rest.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  return { name, values };
}

/** Quantile by nearest rank. */
export function quantile(samples, q) {
  const ordered = Float64Array.from(samples).sort();
  return ordered.length ? ordered[Math.round(q * (ordered.length - 1))] : 0;
}

/** Touched memory, in blocks because one Buffer cannot be arbitrarily large; the caller keeps it. */
export function hold(megabytes) {
  const blocks = [];
  for (let left = megabytes; left > 0; left -= 256) blocks.push(Buffer.alloc(Math.min(left, 256) << 20, 1));
  return blocks;
}

/** A field of /proc/self/status in bytes: VmRSS now, VmHWM at its peak. */
export function memory(field) {
  const line = readFileSync('/proc/self/status', 'utf8').split('\n').find((text) => text.startsWith(field));
  return Number.parseInt(line.split(/\s+/)[1], 10) * 1024;
}

/** Prints the result of a spawn case. */
export function reportSpawn({ call, total, elapsed }) {
  console.log(JSON.stringify({
    call_us: quantile(call, 0.5), call_p99_us: quantile(call, 0.99), total_us: quantile(total, 0.5),
    total_p99_us: quantile(total, 0.99), per_s: total.length / elapsed, count: total.length,
  }));
}

/** Runs `take(file, args)`, which answers the bytes it took in, `captures` times and prints median rate, CPU and memory. */
export async function reportCapture(values, take) {
  const lines = Number(values.lines ?? 0);
  const bytes = lines ? lines * 12 : Number(values.bytes);
  const args = lines ? ['lines', String(lines), '12'] : ['flood', String(bytes), values.block ?? '65536'];
  const baseline = memory('VmRSS:');
  const rates = [];
  for (let i = 0; i < Number(values.captures ?? 1); i++) {
    const begin = performance.now();
    const taken = await take(values.producer, args);
    const seconds = (performance.now() - begin) / 1e3;
    if (taken !== bytes && taken !== bytes - lines) throw new Error(`took ${taken} bytes of ${bytes}`);
    rates.push((lines ? lines / 1e6 : bytes / 2 ** 30) / seconds);
  }
  const usage = process.resourceUsage();
  console.log(JSON.stringify({
    [lines ? 'mlines_s' : 'gib_s']: quantile(rates, 0.5), cpu_s: (usage.userCPUTime + usage.systemCPUTime) / 1e6 / rates.length,
    rss_ratio: (memory('VmHWM:') - baseline) / bytes, count: rates.length,
  }));
}
