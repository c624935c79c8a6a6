/** salora train --sample-prompts: the texts after each evaluation, in metrics.jsonl and on the terminal. No bit of a run depends on them. */
import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import type { Sample } from '../../accelerated/training/events.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { samplesText } from '../../cli/terminal/progress.js'
import { estimateRun } from '../../finetuning/run/estimateRun.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { toyFile } from './toyTask.js'
import { typedRequest } from './typedFlags.js'
import { writeTinyModel } from './tinyModel.js'

const { folder: cwd, write } = temporaryFolder('sample-prompts')
const template =
  "{% for m in messages %}{{ '<s> ' + {'system': 'w47', 'user': 'w48', 'assistant': 'w49'}[m['role']] + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
const jsonl = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join('\n')

beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await cp(join(fixtures, 'llama'), join(cwd, 'chat'), { recursive: true })
  write('chat/tokenizer_config.json', JSON.stringify({ chat_template: template }))
  await writeTinyModel(join(cwd, 'tiny'))
  write('toy.tsv', toyFile(40))
  write('tasks.jsonl', jsonl(Array.from({ length: 40 }, (_, i) => ({ instruction: `w${3 + i}`, output: `w10 w11 w${12 + (i % 3)}` }))))
  write('text.jsonl', jsonl(Array.from({ length: 40 }, (_, i) => ({ text: `w${3 + i} w10 w11 w${12 + (i % 3)}` }))))
  write('prompts.txt', '\ufeffw5\r\n\r\n  w9 w10\r\n')
})

type Flags = Readonly<Record<string, string | true>>
const usual: Flags = {
  ...{ model: 'llama', task: 'alpaca', data: 'tasks.jsonl', method: 'lora', rank: '2', device: 'cpu', threads: '1', maxLength: '60' },
  ...{ maxSteps: '6', evalSteps: '3', batchSize: '8', learningRate: '1e-2', samplePrompts: 'prompts.txt' },
}
const argsOf = (flags: Flags): readonly string[] =>
  Object.entries(flags).flatMap(([name, value]) => [
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    ...(value === true ? [] : [value]),
  ])
const without = (flags: Flags, ...names: readonly string[]): Flags =>
  Object.fromEntries(Object.entries(flags).filter(([name]) => !names.includes(name)))
const train = (flags: Flags, ...more: readonly string[]) => saloraIn(['train', ...argsOf({ ...usual, ...flags }), ...more], { cwd })

type Line = { readonly kind: string; readonly step: number; readonly samples?: readonly Sample[] }
const linesOf = async (run: string): Promise<readonly Line[]> => jsonLines<Line>(await readFile(join(cwd, run, 'metrics.jsonl'), 'utf8'))
const samplesOf = async (run: string) =>
  (await linesOf(run)).flatMap(({ kind, step, samples = [] }) => (kind === 'samples' ? [{ step, samples }] : []))

/** A run in this process that a signal stops at the first event for which `isMoment` is true. */
const job = async (flags: Flags, isMoment: (event: FinetuneEvent) => boolean = () => false, evalOnStart = false) => {
  const absolute = Object.fromEntries(
    Object.entries(flags).map(([name, value]) => [
      name,
      ['model', 'data', 'samplePrompts', 'output'].includes(name) ? join(cwd, String(value)) : value,
    ]),
  )
  const request = await typedRequest(absolute)
  const stop = new AbortController()
  const events: FinetuneEvent[] = []
  for await (const event of finetuneJob({ ...request, output: request.output ?? '', evalOnStart }, stop.signal)) {
    events.push(event)
    if (isMoment(event)) stop.abort()
  }
  return events
}

describe('the memory of samples', () => {
  const estimateOf = async (samplePrompts: number) => {
    const settings = resolveSettings({ method: 'lora', maxLength: 20, device: 'cpu' })
    return (await estimateRun({ model: join(cwd, 'llama'), settings, labels: null, samplePrompts })).samples
  }

  it('is part of an estimate: weights, and a cache for each prompt of a batch of eight', async () => {
    const { model, frozen } = await openModelFolder(join(cwd, 'llama'))
    const weights = 4 * [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    const ofToken = 4 * model.spec.layers.reduce((sum, { heads, headSize }) => sum + 2 * heads * headSize, 0)
    const [none, one, eight, sixteen] = await Promise.all([0, 1, 8, 16].map((count) => estimateOf(count)))
    expect([none, sixteen]).toEqual([0, eight])
    expect(one).toBeGreaterThan(weights)
    expect(Number(eight) - Number(one)).toBeGreaterThan(7 * Math.min(20 + 64, model.spec.maxPositions) * ofToken)
  })

  it('and that of the vocabulary are estimated for a decoder whose config.json names no architecture', async () => {
    await cp(join(fixtures, 'llama'), join(cwd, 'unnamed'), { recursive: true })
    const { architectures, ...config } = JSON.parse(await readFile(join(cwd, 'llama', 'config.json'), 'utf8')) as Record<string, unknown>
    write('unnamed/config.json', JSON.stringify(config))
    const settings = resolveSettings({ method: 'lora', maxLength: 20, device: 'cpu' })
    const of = async (model: string, labels: number | null) =>
      (await estimateRun({ model: join(cwd, model), settings, labels, samplePrompts: 0 })).activations
    expect([architectures, await of('unnamed', null)]).toEqual([['LlamaForCausalLM'], await of('llama', null)])
    expect(await of('unnamed', 2)).toBeLessThan(await of('unnamed', null))
  })

  it('is in the estimate of a run with prompts, and in that of the command', async () => {
    const samplesIn = async (flags: Flags): Promise<number> => {
      const events = await job({ ...flags, output: `estimated-${Object.keys(flags).length}` }, ({ kind }) => kind === 'estimate')
      return events.flatMap((event) => (event.kind === 'estimate' ? [event.samples] : []))[0] ?? NaN
    }
    expect(await samplesIn(without(usual, 'samplePrompts'))).toBe(0)
    expect(await samplesIn(usual)).toBeGreaterThan(0)
    const args = 'estimate --model llama --method lora --max-length 60 --sample-prompts prompts.txt --device cpu'.split(' ')
    const { stdout } = await saloraIn(args, { cwd })
    expect(stdout).toMatch(/\nsamples .* MB {2}weights and cache of the answers to sample prompts\n/)
  })
})

describe('salora train --sample-prompts', () => {
  it('shows and logs after each evaluation what salora generate writes with that adapter', async () => {
    const { code, stderr } = await train({ output: 'shown', noLoadBestModelAtEnd: true })
    expect(code).toBe(0)
    const samples = await samplesOf('shown')
    expect(samples.map(({ step }) => step)).toEqual([3, 6])
    const asked = samples.map((one) => one.samples.map(({ prompt }) => prompt))
    expect(asked).toEqual([
      ['w5', 'w9 w10'],
      ['w5', 'w9 w10'],
    ])
    write('instructions.jsonl', jsonl([{ instruction: 'w5' }, { instruction: 'w9 w10' }]))
    const generated = await saloraIn(
      ['generate', '--run', 'shown', '--input', 'instructions.jsonl', '--max-new-tokens', '64', '--quiet', '--json'],
      { cwd },
    )
    expect(samples.at(-1)?.samples).toEqual(JSON.parse(generated.stdout))
    expect(samples[0]?.samples).not.toEqual(samples[1]?.samples) // the adapter of the step, not the last one
    expect(stderr).toMatch(/\nstep 3: loss [\d., a-z()]+\n {2}w5 → w\d.*\n {2}w9 w10 → w\d.*\n/)
  })

  it.each<readonly [string, Flags]>([
    ['salora', { method: 'salora', gateStart: '0.2', gateEnd: '0.5', dropout: '0.1' }],
    ['prefix', { method: 'prefix', numVirtualTokens: '3', maxLength: '50' }],
    ['int8', { precision: 'int8' }],
  ])('changes no bit of a run: %s', async (name, flags) => {
    const ofRun = without({ ...usual, ...flags }, ...(name === 'prefix' ? ['rank'] : []))
    const events = await job({ ...ofRun, output: `sampled-${name}` })
    await job({ ...without(ofRun, 'samplePrompts'), output: `plain-${name}` })
    expect(events.filter(({ kind }) => kind === 'samples').length).toBe(2)
    const weights = (run: string) => readFile(join(cwd, `${run}-${name}`, 'adapter', 'adapter_model.safetensors'))
    expect((await weights('sampled')).equals(await weights('plain'))).toBe(true)
    const numbers = async (run: string) =>
      (await linesOf(`${run}-${name}`)).filter(({ kind }) => kind !== 'samples').map((line) => ({ ...line, tokensPerSecond: 0 }))
    expect(await numbers('sampled')).toEqual(await numbers('plain'))
  })

  it('is logged again by a resumed run as by an uninterrupted one, without the file of prompts', async () => {
    const flags = usual
    write('moved.txt', 'w5\nw9 w10')
    await job({ ...flags, output: 'whole' }, undefined, true)
    const cut = await job({ ...flags, output: 'cut', samplePrompts: 'moved.txt' }, ({ kind }) => kind === 'sampling', true)
    expect(cut.at(-1)).toMatchObject({ kind: 'result', result: { stepsDone: 0 } })
    const again = await job(
      { ...flags, output: 'cut', samplePrompts: 'moved.txt', resume: true },
      (event) => event.kind === 'sampling' && event.step === 3,
      true,
    )
    expect(again.some(({ kind }) => kind === 'evaluation')).toBe(true) // of step 0
    expect((await samplesOf('cut')).map(({ step }) => step)).toEqual([0])
    await rm(join(cwd, 'moved.txt'))
    await job({ ...without(flags, 'samplePrompts'), output: 'cut', resume: true }, undefined, true)
    expect(await samplesOf('cut')).toEqual(await samplesOf('whole'))
    expect((await linesOf('cut')).map(({ kind, step }) => [kind, step])).toEqual(
      (await linesOf('whole')).map(({ kind, step }) => [kind, step]),
    )
    expect((await readRunConfig(join(cwd, 'cut')))?.samplePrompts).toEqual(['w5', 'w9 w10'])
  })

  it('frames a line in the template of the task, and continues it where the task has none', async () => {
    write('one.txt', 'w5')
    write('forms.jsonl', jsonl([{ instruction: 'w5' }, { messages: [{ role: 'user', content: 'w5' }] }, { prompt: 'w5' }]))
    await job({ ...usual, model: 'chat', output: 'line', samplePrompts: 'one.txt' })
    await job({ ...usual, model: 'chat', output: 'forms', samplePrompts: 'forms.jsonl' })
    const [[line], [instruction, messages, text]] = [
      (await samplesOf('line'))[1]?.samples ?? [],
      (await samplesOf('forms'))[1]?.samples ?? [],
    ]
    expect([instruction?.text, messages?.text, text?.text]).toEqual([line?.text, line?.text, line?.text])
    expect(messages?.prompt).toEqual([{ role: 'user', content: 'w5' }])
    await job({ ...usual, task: 'text', data: 'text.jsonl', output: 'continued', samplePrompts: 'one.txt', noLoadBestModelAtEnd: true })
    const continued = await saloraIn(['generate', '--run', 'continued', '--prompt', 'w5', '--max-new-tokens', '64', '--quiet', '--json'], {
      cwd,
    })
    expect((await samplesOf('continued'))[1]?.samples[0]).toEqual(JSON.parse(continued.stdout))
  })

  it('closes its session after each evaluation, also after a signal', async () => {
    let [open, decoding]: [number, number[]] = [0, []]
    const engine = cpu.engine
    const counted: typeof engine = (settings) => {
      const inner = engine(settings)
      return {
        ...inner,
        open: async (outputs, weights, options) => {
          const session = await inner.open(outputs, weights, options)
          if (options?.mode !== 'decode') return session
          decoding.push(++open)
          const release = (): Promise<void> => {
            open--
            return session.release()
          }
          return { ...session, release }
        },
      }
    }
    Object.assign(cpu, { engine: counted })
    try {
      await job({ ...usual, output: 'counted' })
      expect([open, decoding]).toEqual([0, [1, 1]])
      decoding = []
      await job({ ...usual, output: 'stopped' }, ({ kind }) => kind === 'sampling')
      expect([open, decoding]).toEqual([0, [1]])
    } finally {
      Object.assign(cpu, { engine })
    }
  })

  it.each<readonly [string, string, string, Flags, RegExp]>([
    ['too many prompts', 'many.txt', 'w5\n'.repeat(33), {}, /^many\.txt: expected at most 32 prompts, got 33\n$/],
    [
      'a prompt that is too long for a file',
      'long.txt',
      `w5\n${'w5 '.repeat(4_000)}`,
      {},
      /^long\.txt, line 2: expected a prompt of at most 10000 characters, got 11999\n$/,
    ],
    [
      'a prompt that is too long for the model',
      'positions.txt',
      `w5\n${'w5 '.repeat(200)}`,
      { task: 'text', data: 'text.jsonl' },
      /^--sample-prompts, prompt 2: expected a prompt of at most \d+ tokens \(of the model's \d+ positions\), got 201\n$/,
    ],
  ])('refuses %s in one line', async (_, name, content, flags, message) => {
    write(name, content)
    const { code, stdout, stderr } = await train({ samplePrompts: name, output: 'refused', ...flags }, '--quiet')
    expect([code === 0, stdout]).toEqual([false, ''])
    expect(stderr).toMatch(message)
  })

  it('refuses prompts of a program that are none', async () => {
    const request = await typedRequest({ model: join(cwd, 'llama'), task: 'alpaca', data: join(cwd, 'tasks.jsonl') })
    const samplePrompts = [{ instruction: 'w5', answer: 'w6' }] as never
    const events = finetuneJob({ ...request, output: join(cwd, 'refused'), samplePrompts }, new AbortController().signal)
    await expect(events.next()).rejects.toThrow(/^samplePrompts: expected prompts whose /)
    const large = Array.from({ length: 11 }, () => ({ messages: new Array(10).fill({ role: 'user', content: 'w'.repeat(10_000) }) }))
    const many = finetuneJob({ ...request, output: join(cwd, 'refused'), samplePrompts: large }, new AbortController().signal)
    await expect(many.next()).rejects.toThrow(/^samplePrompts: expected at most 1000000 bytes of prompts, got 11\d{5}$/)
  })
})

describe('samples on the terminal', () => {
  const sample = (prompt: unknown, text: string): Sample => ({ prompt, text, tokens: 1, ended: 'end' })

  it('are a line each, with the end of a prompt and the beginning of a text', () => {
    const chat = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Name a river.' },
    ]
    const [first, second, third] = samplesText([
      sample('a'.repeat(40), 'b'.repeat(90)),
      sample(chat, ' The Danube\nis \u001b[7m red. '),
      sample('w5', ' '),
    ]).split('\n')
    expect(first).toBe(`  …${'a'.repeat(29)} → ${'b'.repeat(79)}…`)
    expect(second).toBe('  Name a river. → The Danube is \\u001b[7m red.')
    expect(third).toBe('  w5 → (nothing)')
  })

  it('are at most four, and their number', () => {
    const lines = samplesText(Array.from({ length: 6 }, (_, i) => sample(`p${i}`, 't'))).split('\n')
    expect([lines.length, lines.at(-1)]).toEqual([5, '  and 2 more in metrics.jsonl'])
  })
})
