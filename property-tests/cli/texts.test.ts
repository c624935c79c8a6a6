/** Decoders that learn text on the command line: training, resuming, evaluating, merging, and one line per invalid flag. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixtures } from '../golden/golden.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-texts-'))
  // one of two responses, whatever the instruction's word
  const row = (i: number) => ({ instruction: ` w${3 + ((7 * i) % 40)}`, output: i % 3 === 0 ? ' w10 w11 w12' : ' w20 w21 w12', row: i })
  const rows = Array.from({ length: 120 }, (_, i) => row(i))
  await writeFile(
    join(root, 'rows.json'),
    JSON.stringify(rows.map((row) => ({ ...row, input: row.row % 2 === 0 ? '' : ` w${3 + (row.row % 7)}` }))),
  )
  await writeFile(join(root, 'text.txt'), rows.map(({ output }) => `${output.trim()}\n\n`).join(''))
})
afterAll(() => rm(root, { recursive: true }))

const model = (family: string): string => join(fixtures, family)
/** The run that is named as its family is a process, as a user's is. */
const train = (family: string, output: string, ...more: ReadonlyArray<string>) =>
  (output === 'llama' ? salora : saloraIn)(
    [
      ...['train', '--model', model(family), '--output', output, '--max-length', '48', '--batch-size', '8', '--learning-rate', '1e-2'],
      ...['--device', 'cpu', ...more],
    ],
    { cwd: root },
  )
const alpaca = ['--task', 'alpaca', '--data', 'rows.json']
const json = async (file: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(root, file), 'utf8')) as Record<string, unknown>
type Result = {
  readonly last: { readonly scores: { readonly loss: number; readonly perplexity: number } }
  readonly retainedDensity: number
  readonly best: Result['last']
  readonly examples: { readonly evaluation: number }
}

describe.each(['llama', 'qwen2'])('%s', (family) => {
  it('learns responses by SaLoRA within its budget, with a held-out loss far below chance', async () => {
    const { code, stdout } = await train(family, family, ...alpaca, '--method', 'salora', '--epochs', '8')
    expect(code).toBe(0)
    const { last, best, retainedDensity } = (await json(`${family}/result.json`)) as Result
    expect(best.scores.loss).toBeLessThan(0.35 * Math.log(50))
    expect(last.scores.perplexity).toBeCloseTo(Math.exp(last.scores.loss), 6)
    expect(retainedDensity).toBeLessThanOrEqual(0.5)
    expect(stdout).toContain(`to use it   salora generate --run ${family} --prompt TEXT`)
    expect(await json(`${family}/adapter/adapter_config.json`)).toMatchObject({
      task_type: 'CAUSAL_LM',
      modules_to_save: null,
      peft_type: 'LORA',
    })
    expect(await json(`${family}/adapter/salora.json`)).toEqual({ labelNames: null, taskType: 'causal', problemType: null })
    expect(await readFile(join(root, family, 'adapter', 'README.md'), 'utf8')).toContain('pipeline_tag: text-generation\n')
  })

  it('has the loss of its run in salora evaluate, by the adapter and by the merged model', async () => {
    const { best, examples } = (await json(`${family}/result.json`)) as Result
    const scored = async (...args: ReadonlyArray<string>) => {
      const { code, stdout, stderr } = await saloraIn(['evaluate', ...args, '--device', 'cpu', '--json', '--quiet'], { cwd: root })
      expect([code, stderr]).toEqual([0, ''])
      return JSON.parse(stdout) as { readonly scores: Result['last']['scores']; readonly tokens: number; readonly trainedOn: number }
    }
    const { scores, tokens, trainedOn } = await scored('--run', family)
    expect(scores.loss).toBeCloseTo(best.scores.loss, 5)
    expect([tokens, trainedOn]).toEqual([4 * examples.evaluation, 0])

    const { code, stdout } = await saloraIn(
      ['export', '--run', family, '--format', 'merged', '--output', `${family}-merged`, '--json', '--quiet'],
      {
        cwd: root,
      },
    )
    expect(code).toBe(0)
    const { comparison } = JSON.parse(stdout) as { readonly comparison: { readonly largestLogitDifference: number } }
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5)
    expect((await json(`${family}-merged/config.json`))['architectures']).toEqual([
      family === 'llama' ? 'LlamaForCausalLM' : 'Qwen2ForCausalLM',
    ])
    const flags = [...alpaca, '--max-length', '48']
    const [adapted, merged] = [
      await scored('--model', model(family), '--adapter', `${family}/adapter`, ...flags),
      await scored('--model', `${family}-merged`, ...flags),
    ]
    expect(merged.scores.loss).toBeCloseTo(adapted.scores.loss, 5)
  })

  it('generates a learned response to an instruction and stops, by the adapter and by the merged model', async () => {
    await writeFile(join(root, 'asked.jsonl'), [3, 9, 30].map((word) => `{"instruction":" w${word}"}\n`).join(''))
    const answers = async (...of: ReadonlyArray<string>) => {
      const { code, stdout } = await saloraIn(['generate', ...of, '--input', 'asked.jsonl', '--device', 'cpu', '--json', '--quiet'], {
        cwd: root,
      })
      expect(code).toBe(0)
      return JSON.parse(stdout) as ReadonlyArray<{ readonly text: string; readonly ended: string }>
    }
    const expected = await answers('--run', family)
    for (const { text, ended } of expected) expect([text, ended]).toEqual([expect.stringMatching(/^ w(10 w11|20 w21) w12$/), 'end'])
    expect(await answers('--model', `${family}-merged`)).toEqual(expected)
  })
})

describe('a run on text', () => {
  it('resumes to the same bits with --packing', async () => {
    const how = [...alpaca, '--method', 'lora', '--max-steps', '12', '--save-steps', '5', '--packing']
    expect((await train('llama', 'whole', ...how)).code).toBe(0)
    const before = await readFile(join(root, 'whole', 'adapter', 'adapter_model.safetensors'))
    await rm(join(root, 'whole', 'checkpoints', 'step-000000012.safetensors'))
    await rm(join(root, 'whole', 'result.json'))
    expect((await train('llama', 'whole', ...how, '--resume')).code).toBe(0)
    expect(await readFile(join(root, 'whole', 'adapter', 'adapter_model.safetensors'))).toEqual(before)
  })

  it('is not resumed with another prompt template', async () => {
    const { code, stderr } = await train('llama', 'whole', '--resume', '--prompt-template', 'alpaca', '--max-steps', '20')
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/promptTemplate/)
  })

  it.each(['lora', 'adalora', 'full', 'prompt --num-virtual-tokens 4', 'lora --precision int8'])('learns plain text by %s', async (how) => {
    const output = how.replaceAll(' ', '')
    const { code } = await train('mistral', output, '--task', 'text', '--data', 'text.txt', '--method', ...how.split(' '), '--epochs', '4')
    expect(code).toBe(0)
    const { last, best } = (await json(`${output}/result.json`)) as Result
    expect(last.scores.loss).toBeCloseTo(Math.log(last.scores.perplexity), 6)
    expect(best.scores.loss).toBeLessThan(5)
  })

  it('trains and saves an untied head with --method full', async () => {
    expect((await train('llama', 'all', ...alpaca, '--method', 'full', '--max-steps', '3')).code).toBe(0)
    const { code, stdout } = await saloraIn(['evaluate', '--model', 'all/adapter', ...alpaca, '--max-length', '48', '--json', '--quiet'], {
      cwd: root,
    })
    expect(code).toBe(0)
    const [report] = [JSON.parse(stdout) as { readonly scores: { readonly loss: number } }]
    const base = await saloraIn(['evaluate', '--model', model('llama'), ...alpaca, '--max-length', '48', '--json', '--quiet'], {
      cwd: root,
    })
    expect(report.scores.loss).toBeLessThan((JSON.parse(base.stdout) as typeof report).scores.loss)
  })

  it.each([
    [['--task', 'alpaca'], '--data: expected the file of texts (for --task alpaca), got none given'],
    [[...alpaca, '--class-weights', 'balanced'], '--class-weights: expected none, as text has no classes, got "balanced"'],
    [
      [...alpaca, '--prompt-template', 'chat'],
      /expected a chat template \(in tokenizer_config.json or chat_template.jinja\), for --prompt-template chat, got none/,
    ],
    [[...alpaca, '--max-length', '65'], /--max-length: expected at most the model's 64 positions, got 65/],
    [[...alpaca, '--max-length', '2'], '--max-length: expected a whole number of at least 3, got 2'],
    [[...alpaca, '--metric-for-best-model', 'accuracy'], '--metric-for-best-model: expected loss or perplexity, got "accuracy"'],
    [[...alpaca, '--positive-label', 'a'], '--positive-label: expected none, as text has no classes, got "a"'],
    [['--task', 'text.tsv', '--packing'], /--packing: expected none with --task .*text.tsv, got "true"/],
  ])('refuses %j in one line', async (how, message) => {
    const { code, stderr } = await train('llama', 'refused', ...how, '--quiet')
    expect(code).not.toBe(0)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    if (typeof message === 'string') expect(stderr.trim()).toBe(message)
    else expect(stderr).toMatch(message)
  })

  it('is not evaluated on texts longer than the positions of the model', async () => {
    const { code, stderr } = await saloraIn(['evaluate', '--model', model('llama'), ...alpaca, '--max-length', '65', '--quiet'], {
      cwd: root,
    })
    expect([code, stderr]).toEqual([2, "--max-length: expected at most the model's 64 positions, got 65\n"])
  })

  it('requires a decoder, and its result cannot classify', async () => {
    const { code, stderr } = await train('roberta', 'refused', ...alpaca, '--max-length', '32', '--quiet')
    expect(code).not.toBe(0)
    expect(stderr).toBe('--model: expected a decoder, as --task alpaca asks for the next token, got a model of type roberta\n')
    const answer = await saloraIn(['predict', '--run', 'llama', '--quiet'], { cwd: root, input: 'w3\n' })
    expect(answer.code).not.toBe(0)
    expect(answer.stderr).toMatch(
      /^llama: expected a classifier, or an adapter of one, got what writes text \(salora generate, or salora evaluate\)\n$/,
    )
  })
})
