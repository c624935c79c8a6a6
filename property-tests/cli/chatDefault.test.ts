/** The chat template of a model is the default of --task alpaca; a run keeps the template that it began with. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneOptions, RunConfig, RunResult } from '../../finetuning/run/run.js'
import { openRun } from '../../index.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'

const { folder: cwd } = temporaryFolder('chat')
const template =
  "{% for m in messages %}{{ '<s> ' + ('w48' if m['role'] == 'user' else 'w49') + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await writeFile(join(cwd, 'llama', 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
  const rows = Array.from({ length: 40 }, (_, i) => ({ instruction: `w${3 + i}`, output: i % 2 === 0 ? 'w10 w11' : 'w20 w21' }))
  await writeFile(join(cwd, 'rows.json'), JSON.stringify(rows))
})

const options = (output: string, task: Partial<FinetuneOptions['task']> = {}, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
  model: join(cwd, 'llama'),
  task: { task: 'alpaca', data: join(cwd, 'rows.json'), ...task },
  output: join(cwd, output),
  settings: { method: 'lora', maxSteps: 2, evalSteps: 2, batchSize: 8, maxLength: 32, device: 'cpu', rank: 2 },
  ...more,
})
const run = async (given: FinetuneOptions): Promise<RunResult> => {
  for await (const event of finetuneJob(given, new AbortController().signal)) if (event.kind === 'result') return event.result
  throw new Error('expected a result')
}
const config = async (output: string): Promise<RunConfig> =>
  JSON.parse(await readFile(join(cwd, output, 'config.json'), 'utf8')) as RunConfig

describe('--task alpaca with a model that has a chat template', () => {
  it('uses it by default, as --prompt-template chat does, and stores the choice', async () => {
    const [own, chat, paper] = [
      await run(options('own')),
      await run(options('chat', { promptTemplate: 'chat' })),
      await run(options('paper', { promptTemplate: 'paper' })),
    ]
    expect(own.last.scores).toEqual(chat.last.scores)
    expect(own.last.scores).not.toEqual(paper.last.scores)
    expect((await config('own')).task).toEqual((await config('chat')).task)
    expect((await config('paper')).task.promptTemplate).toBe('paper')
  })

  it('keeps the template of a run that began before there was this default, and of any run that is resumed', async () => {
    await run(options('old', { promptTemplate: 'paper' }))
    const { task, ...others } = await config('old')
    const { promptTemplate: _, ...before } = task
    await writeFile(join(cwd, 'old', 'config.json'), JSON.stringify({ ...others, task: before }))
    const longer = { resume: true, settings: { ...options('').settings, maxSteps: 4 } }
    expect((await run(options('old', {}, longer))).stepsDone).toBe(4)
    expect((await config('old')).task).toEqual(before)
    expect((await run(options('own', {}, longer))).stepsDone).toBe(4)
    expect((await config('own')).task.promptTemplate).toBe('chat')
  })

  it('is framed so by evaluate and inspect, too', async () => {
    const score = async (...args: readonly string[]): Promise<number | undefined> => {
      const { stdout } = await saloraIn(['evaluate', ...args, '--task', 'alpaca', '--data', 'rows.json', '--device', 'cpu', '--json'], {
        cwd,
      })
      return (JSON.parse(stdout) as { readonly scores: Readonly<Record<string, number>> }).scores['loss']
    }
    const adapter = ['--model', 'llama', '--adapter', 'chat/adapter']
    expect(await score(...adapter)).toBe(await score(...adapter, '--prompt-template', 'chat'))
    expect(await score(...adapter)).not.toBe(await score(...adapter, '--prompt-template', 'paper'))
    expect(await score('--run', 'paper')).toBe(await score('--run', 'paper', '--prompt-template', 'paper'))
    const lengths = async (...args: readonly string[]): Promise<unknown> => {
      const { stdout } = await saloraIn(['inspect', 'rows.json', '--task', 'alpaca', '--model', 'llama', '--json', ...args], { cwd })
      return (JSON.parse(stdout) as { readonly sets: readonly { readonly lengths: { readonly longest: number } }[] }).sets[0]?.lengths
        .longest
    }
    // <s> w48 WORD </s> <s> w49 WORD WORD </s>
    expect([await lengths(), await lengths('--prompt-template', 'chat')]).toEqual([9, 9])
    expect(await lengths('--prompt-template', 'paper')).toBeGreaterThan(9)
  })
})

describe('a chat template that writes the date', () => {
  const dated = template.replace("'w48'", "'w' ~ strftime_now('%-d')")
  const write = async (model: string, text: string): Promise<string> => {
    await cp(join(cwd, 'llama'), join(cwd, model), { recursive: true })
    await writeFile(join(cwd, model, 'tokenizer_config.json'), JSON.stringify({ chat_template: text }))
    return join(cwd, model)
  }
  const answer = async (...args: readonly string[]): Promise<unknown> => {
    const { stdout } = await saloraIn(['generate', ...args, '--device', 'cpu', '--threads', '1', '--max-new-tokens', '6', '--json'], {
      cwd,
    })
    return (JSON.parse(stdout) as { readonly text: unknown }).text
  }

  it('has the date of the run: in its rows, in config.json, when it is resumed, and in its answers', async () => {
    const [model, seventh] = [await write('dated', dated), await write('seventh', template.replace('w48', 'w7'))]
    const given = await run(options('march', { templateDate: '2026-03-07' }, { model }))
    const byHand = await run(options('byHand', {}, { model: seventh }))
    expect(given.last.scores).toEqual(byHand.last.scores)
    expect((await run(options('eighth', { templateDate: '2026-03-08' }, { model }))).last.scores).not.toEqual(given.last.scores)
    const longer = { resume: true, settings: { ...options('').settings, maxSteps: 4 } }
    expect((await run(options('march', {}, { model, ...longer }))).last.scores).toEqual(
      (await run(options('byHand', {}, { model: seventh, ...longer }))).last.scores,
    )
    expect((await config('march')).task.templateDate).toBe('2026-03-07')
    expect((await config('byHand')).task).not.toHaveProperty('templateDate')
    const own = await answer('--run', 'byHand', '--prompt', 'w30')
    expect(await answer('--run', 'march', '--prompt', 'w30')).toBe(own)
    const opened = await openRun(join(cwd, 'march'), { threads: 1 })
    for await (const event of opened.generate('w30', { maxNewTokens: 6 })) if (event.kind === 'text') expect(event.text).toBe(own)
    await opened.release()
  })

  it('has the day on which the run begins, unless it is told another', async () => {
    const model = await write('dated', dated)
    vi.useFakeTimers({ now: new Date(2026, 11, 24, 23, 59), toFake: ['Date'] })
    try {
      await run(options('christmas', {}, { model }))
    } finally {
      vi.useRealTimers()
    }
    expect((await config('christmas')).task.templateDate).toBe('2026-12-24')
    const march = ['--set', 'template-date=2026-03-07']
    for (const [name, args, got] of [
      ['dated', ['--set', 'template-date=2026-02-30'], 'a date such as 2026-03-07, got "2026-02-30"'],
      ['dated', [...march, '--prompt-template', 'paper'], 'none without --prompt-template chat, got "2026-03-07"'],
      ['llama', march, 'none, as the model\'s chat template writes no date, got "2026-03-07"'],
    ] as const) {
      const task = ['--task', 'alpaca', '--data', 'rows.json', '--max-length', '32', '--output', 'refused']
      const { stderr } = await saloraIn(['train', '--model', name, ...task, '--quiet', ...args], { cwd })
      expect(stderr).toBe(`--set template-date: expected ${got}\n`)
    }
    const resumed = await saloraIn(['train', '--resume', '--output', 'christmas', '--max-steps', '4', '--quiet', ...march], { cwd })
    expect(resumed.stderr).toMatch(/began with, got templateDate was "2026-12-24" and is "2026-03-07"\n$/)
  })
})

describe('salora generate without a run', () => {
  const answersTo = async (row: object, ...args: readonly string[]): Promise<unknown> => {
    await writeFile(join(cwd, 'prompts.jsonl'), JSON.stringify(row))
    const machine = ['--device', 'cpu', '--threads', '1', '--max-new-tokens', '6', '--json']
    const { stdout } = await saloraIn(['generate', ...args, '--input', 'prompts.jsonl', ...machine], { cwd })
    return (JSON.parse(stdout) as readonly { readonly text: string }[])[0]?.text
  }

  it("frames instructions in the model's chat template, with an adapter too; a run keeps its own template", async () => {
    const row = { instruction: 'w30' }
    const own = await answersTo(row, '--model', 'llama')
    // the template by hand: a plain text gets the first <s> from the tokenizer
    expect(own).toBe(await answersTo({ prompt: 'w48 w30 </s> <s> w49' }, '--model', 'llama'))
    expect(own).toBe(await answersTo(row, '--model', 'llama', '--prompt-template', 'chat'))
    expect(own).not.toBe(await answersTo(row, '--model', 'llama', '--prompt-template', 'paper'))
    const adapter = ['--model', 'llama', '--adapter', 'paper/adapter']
    expect(await answersTo(row, ...adapter)).toBe(await answersTo(row, ...adapter, '--prompt-template', 'chat'))
    expect(await answersTo(row, '--run', 'paper')).toBe(await answersTo(row, '--run', 'paper', '--prompt-template', 'paper'))
    expect(await answersTo(row, '--run', 'paper')).not.toBe(await answersTo(row, '--run', 'paper', '--prompt-template', 'chat'))
  })
})

describe('a prompt for a run that was trained with a template', () => {
  const machine = ['--device', 'cpu', '--threads', '1', '--max-new-tokens', '6', '--json']
  const answerOf = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await saloraIn(['generate', ...args, ...machine], { cwd })
    expect([code, stderr], stderr).toMatchObject([0, expect.any(String)])
    const answers = JSON.parse(stdout) as object | readonly [object]
    return (Array.isArray(answers) ? answers[0] : answers) as unknown
  }
  const textOf = async (...args: readonly string[]): Promise<unknown> => ((await answerOf(...args)) as { readonly text: unknown }).text
  const byHand = 'w48 w30 </s> <s> w49' // a text gets the first <s> from the tokenizer

  it('is framed as in training, also as a line of --input', async () => {
    await writeFile(join(cwd, 'line.jsonl'), JSON.stringify({ prompt: 'w30' }))
    const adapter = ['--model', 'llama', '--adapter', 'chat/adapter']
    const framed = await textOf(...adapter, '--prompt', byHand)
    const continued = await textOf(...adapter, '--prompt', 'w30')
    expect(framed).not.toBe(continued)
    for (const prompt of [
      ['--prompt', 'w30'],
      ['--input', 'line.jsonl'],
    ]) {
      expect(await textOf('--run', 'chat', ...prompt)).toBe(framed)
      expect(await textOf('--run', 'chat', ...prompt, '--prompt-template', 'none')).toBe(continued)
      expect(await textOf(...adapter, ...prompt)).toBe(continued)
    }
    expect(await answerOf('--run', 'chat', '--prompt', 'w30')).toMatchObject({ prompt: 'w30' })
    const paper = await textOf('--run', 'paper', '--prompt', 'w30', '--prompt-template', 'paper')
    expect(await textOf('--run', 'paper', '--prompt', 'w30')).toBe(paper)
    expect(await textOf('--run', 'paper', '--prompt', 'w30', '--prompt-template', 'chat')).not.toBe(paper)
  })

  it('is framed so for a program too, which continues { text }', async () => {
    const opened = await openRun(join(cwd, 'chat'), { threads: 1 })
    const generated = async (prompt: Parameters<typeof opened.generate>[0]): Promise<string> => {
      for await (const event of opened.generate(prompt, { maxNewTokens: 6 })) if (event.kind === 'text') return event.text
      return expect.fail('no text')
    }
    const [framed, continued] = [await generated({ text: byHand }), await generated({ text: 'w30' })]
    expect(framed).not.toBe(continued)
    for (const prompt of ['w30', { prompt: 'w30' }, { instruction: 'w30' }, { messages: [{ role: 'user', content: 'w30' }] }])
      expect(await generated(prompt)).toBe(framed)
    await opened.release()
    expect(continued).toBe(await textOf('--run', 'chat', '--prompt', 'w30', '--prompt-template', 'none'))
  })

  it('with none, an instruction is the beginning of a text', async () => {
    await writeFile(join(cwd, 'asked.jsonl'), JSON.stringify({ instruction: 'w30', input: 'w31' }))
    expect(await textOf('--run', 'chat', '--input', 'asked.jsonl', '--prompt-template', 'none')).toBe(
      await textOf('--model', 'llama', '--adapter', 'chat/adapter', '--prompt', 'w30\n\nw31'),
    )
  })
})

describe('a chat template that fails', () => {
  const settings = ['--method', 'lora', '--max-steps', '1', '--batch-size', '4', '--max-length', '32', '--device', 'cpu']
  const commands: readonly (readonly [string, readonly string[]])[] = [
    ['train', ['--task', 'alpaca', '--data', 'rows.json', '--output', 'failing', ...settings]],
    ['evaluate', ['--adapter', 'paper/adapter', '--task', 'alpaca', '--data', 'rows.json', '--device', 'cpu']],
    ['inspect', ['rows.json', '--task', 'alpaca']],
    ['generate', ['--input', 'instructions.jsonl', '--max-new-tokens', '1', '--device', 'cpu', '--threads', '1']],
  ]
  it.each(commands)('stops %s in one line with the remedy, which helps', async (command, args) => {
    await writeFile(join(cwd, 'instructions.jsonl'), '{"instruction":"w30"}\n')
    await cp(join(cwd, 'llama'), join(cwd, 'broken'), { recursive: true })
    for (const [broken, expected] of [
      ['{% for %}', 'a chat template in Jinja'],
      ["{{ raise_exception('no') }}", 'a chat template that takes these messages'],
    ] as const) {
      await writeFile(join(cwd, 'broken', 'tokenizer_config.json'), JSON.stringify({ chat_template: broken }))
      const run = (...more: readonly string[]) => saloraIn([command, '--model', 'broken', ...args, '--quiet', ...more], { cwd })
      const { code, stdout, stderr } = await run()
      expect([code, stdout]).toEqual([1, ''])
      expect(stderr.replaceAll(cwd, '@')).toMatch(/^@\/broken\/tokenizer_config\.json: [^\n]+\n$/)
      expect(stderr).toContain(`expected ${expected} (or --prompt-template paper, for instructions), got one that fails (`)
      expect((await run('--prompt-template', 'paper')).code).toBe(0)
      await rm(join(cwd, 'failing'), { recursive: true, force: true })
    }
  })

  it('does not stop a prompt that needs no template', async () => {
    await cp(join(cwd, 'llama'), join(cwd, 'broken'), { recursive: true })
    await writeFile(join(cwd, 'broken', 'tokenizer_config.json'), JSON.stringify({ chat_template: '{% for %}' }))
    const args = ['generate', '--model', 'broken', '--prompt', 'w30', '--max-new-tokens', '1', '--device', 'cpu', '--quiet']
    expect((await saloraIn(args, { cwd })).code).toBe(0)
  })
})
