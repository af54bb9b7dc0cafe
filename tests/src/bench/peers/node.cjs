// One worker publishes, the primary hands on, the other workers count; the primary prints seconds, its own processor time
// in nanoseconds, and how many events were read. The publisher is never further ahead of the slowest than WINDOW.
const cluster = require('node:cluster');

const WINDOW = 4096;
const STEP = 512;
const [subscribers, events, payload] = process.argv.slice(2).map(Number);

function primary() {
    process.stdin.on('end', () => process.exit(1)).resume();
    const publisher = cluster.fork({ ROLE: 'publisher' });
    const readers = Array.from({ length: subscribers }, () => cluster.fork({ ROLE: 'reader' }));
    const read = new Map(readers.map((reader) => [reader.id, 0]));
    let ready = 0;
    let began;
    let cpu;
    const start = () => {
        ready += 1;
        if (ready > subscribers) {
            began = process.hrtime.bigint();
            cpu = process.cpuUsage();
            publisher.send({ allowed: WINDOW });
        }
    };
    publisher.on('message', (message) => {
        if (message.ready) return start();
        for (const reader of readers) reader.send(message);
    });
    for (const reader of readers) {
        reader.on('message', (message) => {
            if (message.ready) return start();
            read.set(reader.id, message.read);
            const slowest = Math.min(...read.values());
            if (slowest >= events) return finish();
            publisher.send({ allowed: slowest + WINDOW });
        });
    }
    const finish = () => {
        const seconds = Number(process.hrtime.bigint() - began) / 1e9;
        const used = process.cpuUsage(cpu);
        const sum = [...read.values()].reduce((a, b) => a + b, 0);
        console.log(seconds, (used.user + used.system) * 1000, sum);
        for (const worker of [publisher, ...readers]) worker.process.kill('SIGKILL');
        process.exit(0);
    };
}

function publisher() {
    const event = { topic: 'bench.sample', data: 'x'.repeat(payload) };
    let sent = 0;
    process.on('message', ({ allowed }) => {
        for (; sent < Math.min(allowed, events); sent += 1) process.send(event);
    });
    process.send({ ready: true });
}

function reader() {
    let read = 0;
    process.on('message', (message) => {
        if (message.data.length !== payload) throw new Error('not what was sent');
        read += 1;
        if (read % STEP === 0 || read === events) process.send({ read });
    });
    process.send({ ready: true });
}

({ publisher, reader })[process.env.ROLE]?.() ?? (cluster.isPrimary && primary());
