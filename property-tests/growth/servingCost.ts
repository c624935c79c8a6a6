/**
 * What a server answers to several clients: tokens a second and the wait for a first word by streams, of a model alone and of 8 adapters; start and
 * memory by adapters. Linux. Arguments: a decoder's folder, a run's folder on it, whose adapter is served under several names.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'

const [model = '', run = ''] = process.argv.slice(2)
const [streams, adapters, tokens] = [[1, 2, 4, 8, 16, 32], [0, 1, 8, 32], 48]

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))

/** One greedy stream. → its tokens, and when its first word came */
const ask = async (url: string, name: string, number: number) => {
  const messages = [{ role: 'user', content: `Tell a long story about number ${number}.` }]
  const body = JSON.stringify({
    model: name,
    messages,
    max_tokens: tokens,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  })
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  if (!answer.ok || answer.body === null) throw new Error(await answer.text())
  let [text, first] = ['', 0]
  for await (const chunk of answer.body) {
    text += Buffer.from(chunk).toString()
    if (first === 0 && /"content":"[^"]/.test(text)) first = performance.now()
  }
  return { count: Number(/"completion_tokens":(\d+)/.exec(text)?.[1] ?? NaN), first }
}

for (const count of adapters) {
  const names = times(count, (i) => `adapter-${i}`)
  const began = performance.now()
  const given = names.flatMap((name) => ['--adapter', `${name}=${run}`])
  const server = spawn(process.execPath, ['dist/cli/salora.js', 'serve', model, ...given, '--port', '0'])
  let printed = ''
  let url: string | undefined
  for await (const chunk of server.stdout) {
    printed += String(chunk)
    url = /http:\S+:\d+(?=\n)/.exec(printed)?.[0]
    if (url !== undefined) break
  }
  if (url === undefined) throw new Error(`servingCost: expected a server, got ${printed}`)
  const ready = (performance.now() - began) / 1000
  const base = model.split('/').at(-1) ?? model
  const askAll = async (clients: number) => {
    const asked = performance.now()
    const answers = await Promise.all(times(clients, (i) => ask(url as string, names[i % count] ?? base, i)))
    const [seconds, last] = [performance.now() - asked, Math.max(...answers.map(({ first }) => first)) - asked].map((ms) => ms / 1000)
    const all = answers.reduce((sum, answer) => sum + answer.count, 0)
    return `${clients} streams: ${(all / (seconds ?? NaN)).toFixed(0)} tokens/s, last first word ${last?.toFixed(2)} s`
  }
  await askAll(8)
  const rates: string[] = []
  for (const clients of count === 0 || count === 8 ? streams : []) rates.push(await askAll(clients))
  const memory = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024
  console.log(
    `${count} adapters: ready after ${ready.toFixed(1)} s, ${memory.toFixed(0)} MB\n${rates.map((rate) => `  ${rate}\n`).join('')}`,
  )
  server.kill('SIGTERM')
  await once(server, 'exit')
}
