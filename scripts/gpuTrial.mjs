/**
 * Tries salora on a machine with a card, without a network: devices, agreement, twenty steps beside the CPU's, a killed run, MRPC, and speed.
 * PEFT is beside it on the CPU. A stage that fails is recorded and the others run. Prints a line per stage and writes gpu-trial/trial.json.
 *
 *   npm run build && node scripts/gpuTrial.mjs [--device cuda] [--data GLUE] [--peer PYTHON] [--only doctor,resume]
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync, mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { device: { type: 'string', default: 'cuda' }, data: { type: 'string' }, peer: { type: 'string' }, only: { type: 'string' } },
})
const [steps, folder] = [20, `gpu-trial/${Date.now()}`]
const device = ['--device', values.device]

/** Runs a command with --json. With `killAt`, kills it once that file exists. → its document @throws Error with the last line of what failed */
const salora = (args, killAt) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['dist/cli/salora.js', ...args, '--json', '--quiet'])
    let [output, errors] = ['', '']
    child.stdout.on('data', (text) => (output += text))
    child.stderr.on('data', (text) => (errors = (errors + text).slice(-10_000)))
    const poll = setInterval(() => killAt !== undefined && existsSync(killAt) && child.kill('SIGKILL'), 2)
    child.on('close', (code, signal) => {
      clearInterval(poll)
      if (killAt === undefined ? code === 0 : signal === 'SIGKILL') return resolve(output === '' ? null : JSON.parse(output))
      reject(new Error(`salora ${args[0]}: ${errors.trim().split('\n').at(-1) || `got ${signal ?? `exit code ${code}`}`}`))
    })
  })

const train = async (name, more, killAt) => {
  const lengths = ['--max-steps', steps, '--eval-steps', steps, '--save-steps', 5, '--batch-size', 16, '--max-length', 64]
  await salora(['train', '--model', 'embedded', '--task', 'sentiment', '--output', `${folder}/${name}`, ...lengths.map(String), ...more], killAt)
  const lines = readFileSync(`${folder}/${name}/metrics.jsonl`, 'utf8').trim().split('\n').map(JSON.parse)
  return lines.filter(({ kind }) => kind === 'step').map(({ taskLoss }) => taskLoss)
}

const besideCpu = async (name, more) => {
  const method = ['--method', 'salora', '--learning-rate', '1e-3']
  const [cpu, here] = [await train(`${name}-cpu`, ['--device', 'cpu', ...method]), await train(name, [...device, ...method, ...more])]
  return { steps: here.length, largestDifference: Math.max(...cpu.map((loss, i) => Math.abs(here[i] - loss))) }
}

const resume = async () => {
  const method = ['--method', 'lora', ...device]
  await train('whole', method)
  const checkpoint = `${folder}/killed/checkpoints/step-000000005.safetensors`
  await train('killed', method, checkpoint)
  await train('killed', [...method, '--resume'])
  const [whole, resumed] = ['whole', 'killed'].map((run) => readFileSync(`${folder}/${run}/adapter/adapter_model.safetensors`))
  return { sameBits: whole.equals(resumed) }
}

const stages = {
  doctor: () => salora(['doctor']),
  verify: () => salora(['verify', ...device]),
  'verify-mixed': () => salora(['verify', ...device, '--precision', 'mixed']),
  float32: () => besideCpu('float32', []),
  tf32: () => besideCpu('tf32', ['--device', 'cuda:tf32']),
  mixed: () => besideCpu('mixed', ['--precision', 'mixed']),
  resume,
  bench: () => salora(['bench', ...device]),
  ...(values.peer === undefined ? {} : { peer: () => salora(['bench', '--peer', values.peer]) }),
  ...(values.data === undefined
    ? {}
    : { mrpc: () => salora(['train', '--model', 'embedded', '--task', 'mrpc', '--data', values.data, ...device, '--output', `${folder}/mrpc`]) }),
}

const only = values.only?.split(',') ?? Object.keys(stages)
const unknown = only.find((name) => !Object.hasOwn(stages, name))
if (unknown !== undefined) {
  console.error(`--only: expected some of ${Object.keys(stages).join(', ')}, got "${unknown}"`)
  process.exit(2)
}

mkdirSync(folder, { recursive: true })
const outcomes = []
for (const name of only) {
  const run = stages[name]
  const began = performance.now()
  const outcome = await run().then((result) => ({ result }), (error) => ({ failed: error.message }))
  const seconds = (performance.now() - began) / 1000
  outcomes.push({ stage: name, seconds, ...outcome })
  writeFileSync('gpu-trial/trial.json', JSON.stringify({ device: values.device, outcomes }, null, 2))
  const shown = outcome.failed ?? JSON.stringify(outcome.result)?.slice(0, 100) ?? 'done'
  console.log(`${name.padEnd(14)}${outcome.failed === undefined ? 'done  ' : 'FAILED'}  ${seconds.toFixed(0).padStart(4)} s  ${shown}`)
}
process.exitCode = outcomes.some(({ failed }) => failed !== undefined) ? 1 : 0
