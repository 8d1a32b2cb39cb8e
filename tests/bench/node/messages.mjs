// The two sides of a measurement over any way to send and receive messages, as in limits/messages.h. A link has `send(message)`, which
// answers a promise when the sender has to wait, else nothing, and `onMessage(handler)`. Orders are objects, messages are not.
import { quantile } from './common.mjs';

/** The child's side: echoes, or takes in and answers when all is there; `end` is called when told to end. */
export function serve(link, end) {
  let order = { kind: 'echo', left: 0 };
  link.onMessage((message) => {
    if (message.kind) {
      order = { ...message, left: message.count };
      if (order.kind === 'end') end();
      return;
    }
    if (message.length !== order.size) throw new Error(`took ${message.length} bytes of ${order.size}`);
    order.left--;
    if (order.kind === 'echo') link.send(message);
    else if (order.left === 0) link.send({ kind: 'done' });
  });
}

/** One batch of round trips; answers its seconds. */
function roundTrips(link, message, count, samples) {
  return new Promise((resolve) => {
    let left = count;
    link.send({ kind: 'echo', count, size: message.length });
    const begin = performance.now();
    let last = begin;
    link.onMessage(() => {
      const now = performance.now();
      samples?.push((now - last) * 1e3);
      last = now;
      if (--left > 0) link.send(message);
      else resolve((now - begin) / 1e3);
    });
    link.send(message);
  });
}

/** One batch in one direction, until the child says that it has all of it; answers its seconds. */
async function oneWay(link, message, count) {
  const done = new Promise((resolve) => link.onMessage(resolve));
  link.send({ kind: 'sink', count, size: message.length });
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const wait = link.send(message);
    if (wait) await wait;
  }
  await done;
  return (performance.now() - begin) / 1e3;
}

/** Doubles a batch until it takes this long, which warms up; the first waits for the child to be there. */
async function doubled(batch, seconds) {
  await batch(1);
  let count = 1;
  let taken = await twice(batch, count, seconds);
  while (taken < seconds && count < 2 ** 24) taken = await twice(batch, count *= 2, seconds);
  return { count, taken };
}

/** The seconds of a batch; one that only just took long enough may have been interrupted and is run again. */
async function twice(batch, count, seconds) {
  const taken = await batch(count);
  return taken >= seconds && taken < 4 * seconds ? Math.min(taken, await batch(count)) : taken;
}

/** The size in the name of a metric. */
function label(size) {
  if (size >= 2 ** 20) return `${size / 2 ** 20}m`;
  return size >= 1024 ? `${size / 1024}k` : String(size);
}

async function measureRound(link, message, seconds) {
  const { count, taken } = await doubled((n) => roundTrips(link, message, n), seconds / 2);
  const samples = [];
  await roundTrips(link, message, Math.max(1, Math.floor((seconds / taken) * count)), samples);
  const name = label(message.length);
  return { [`us_${name}`]: quantile(samples, 0.5), [`p99_us_${name}`]: quantile(samples, 0.99) };
}

async function measureWay(link, message, seconds) {
  const { count } = await doubled((n) => oneWay(link, message, n), seconds / 4);
  const rates = [];
  for (let i = 0; i < 4; i++) rates.push(count / await oneWay(link, message, count));
  const [size, rate] = [message.length, quantile(rates, 0.5)];
  return size <= 1024 ? { [`mmsg_${label(size)}`]: rate / 1e6 } : { [`gib_${label(size)}`]: (rate * size) / 2 ** 30 };
}

/** The parent's side: all sizes, one line of JSON, then the child is told to end. `make(size)` makes a message. */
export async function measure(link, values, make) {
  const oneSize = (values.mode ?? 'round') === 'round' ? measureRound : measureWay;
  const result = {};
  for (const size of (values.sizes ?? '64').split(',').map(Number)) {
    Object.assign(result, await oneSize(link, make(size), Number(values.seconds ?? 0.1)));
  }
  link.send({ kind: 'end' });
  console.log(JSON.stringify(result));
}

/** Messages on their way when the rate of echoes is measured. */
const WINDOW = 64;

/** Keeps `window` messages on their way for this long; tells the time between answers and answers how many a second. */
function echoWindow(link, message, window, seconds, told) {
  return new Promise((resolve) => {
    let [count, left] = [0, window];
    const begin = performance.now();
    let last = begin;
    link.onMessage((answer) => {
      if (answer !== message) throw new Error('the answer is something else');
      if ((last - begin) / 1e3 >= seconds) {
        if (--left === 0) resolve((count / (last - begin)) * 1e3);
        return;
      }
      link.send(message);
      const now = performance.now();
      told?.((now - last) * 1e3);
      last = now;
      count++;
    });
    for (let i = 0; i < window; i++) link.send(message);
  });
}

/** Round trips one by one with a child that sends back whatever it is sent, then echoes a second, each after as long a warm-up. */
export async function measureEcho(link, values) {
  const seconds = Number(values.seconds ?? 0.1);
  const message = 'x'.repeat(64);
  const samples = [];
  await echoWindow(link, message, 1, seconds);
  await echoWindow(link, message, 1, seconds, (micros) => samples.push(micros));
  await echoWindow(link, message, WINDOW, seconds);
  const rate = await echoWindow(link, message, WINDOW, seconds);
  console.log(JSON.stringify({ us_64: quantile(samples, 0.5), p99_us_64: quantile(samples, 0.99), kmsg: rate / 1e3 }));
}
