/** salora train --task choice: a run that learns, rows in every layout, refusals, and the evaluation of any decoder. */
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readChoices } from '../../finetuning/tasks/multipleChoice/rows.js'
import { scoreChoices } from '../../finetuning/tasks/multipleChoice/index.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'

const { folder: cwd, write } = temporaryFolder('choice')
const jsonl = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join('\n')
const rows = Array.from({ length: 40 }, (_, i) => ({
  question: `w${3 + i}`,
  choices: ['w10', 'w11 w12', 'w13 w14 w15'],
  answer: i % 2 === 0 ? 1 : 'B',
}))
const questions = join(fixtures, 'llama', 'choice', 'questions.jsonl')

beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(cwd, 'llama'), { recursive: true })
  await cp(join(fixtures, 'bert'), join(cwd, 'bert'), { recursive: true })
  write('rows.jsonl', jsonl(rows))
})

const run = (...args: readonly string[]) =>
  saloraIn([...args, ...(args[0] === 'inspect' ? [] : ['--device', 'cpu', '--threads', '1']), '--quiet', '--json'], { cwd })
const train = (...args: readonly string[]) =>
  run(
    ...['train', '--model', 'llama', '--task', 'choice', '--data', 'rows.jsonl', '--method', 'lora', '--rank', '2', '--max-steps', '8'],
    ...['--eval-steps', '4', '--batch-size', '8', '--max-length', '32', '--learning-rate', '3e-2', ...args],
  )
type Scores = { readonly scores: Readonly<Record<string, number>> }

describe('salora train --task choice', () => {
  it('learns the right answers, and its run evaluates and generates', async () => {
    const { code, stdout, stderr } = await train('--output', 'run')
    expect([code, stderr]).toEqual([0, ''])
    const result = JSON.parse(stdout) as RunResult
    expect(result).toMatchObject({ taskType: 'choice', selectedBy: 'accuracy' })
    expect(result.last.scores).toMatchObject({ accuracy: 1, accuracyNorm: 1 })
    const evaluated = await run('evaluate', '--run', 'run')
    expect((JSON.parse(evaluated.stdout) as Scores).scores['loss']).toBeCloseTo(Number(result.best?.scores['loss']), 4)
    expect((await run('generate', '--run', 'run', '--prompt', 'w5', '--max-new-tokens', '2')).code).toBe(0)
    const adapter = JSON.parse(await readFile(join(cwd, 'run/adapter/adapter_config.json'), 'utf8')) as { readonly task_type: string }
    expect(adapter.task_type).toBe('CAUSAL_LM')
  })

  it('has the loss of the right answers alone, whatever the others are', async () => {
    const whole = ['--eval-data', questions, '--data', questions, '--batch-size', '60', '--max-steps', '1', '--max-length', '40']
    expect((await train(...whole, '--output', 'one')).code).toBe(0)
    const [step] = jsonLines<{ readonly taskLoss?: number }>(await readFile(join(cwd, 'one/metrics.jsonl'), 'utf8'))
    const base = await run('evaluate', '--model', 'llama', '--task', 'choice', '--data', questions)
    expect(step?.taskLoss).toBeCloseTo(Number((JSON.parse(base.stdout) as Scores).scores['loss']), 5)
  })

  it('evaluates a decoder that was trained on another task', async () => {
    write('tasks.jsonl', jsonl(rows.map(({ question }) => ({ instruction: question, output: 'w11 w12' }))))
    await train('--task', 'alpaca', '--data', 'tasks.jsonl', '--max-length', '50', '--output', 'alpaca')
    const { code, stdout } = await run('evaluate', '--run', 'alpaca', '--task', 'choice', '--data', 'rows.jsonl')
    expect([code, Object.keys((JSON.parse(stdout) as Scores).scores)]).toEqual([0, ['accuracy', 'accuracyNorm', 'loss']])
  })

  it('leaves out questions that are too long, and says how many', async () => {
    write('long.jsonl', jsonl(rows.map((row, i) => (i % 4 === 0 ? { ...row, choices: [...row.choices, 'w10 '.repeat(40)] } : row))))
    const { code, stderr } = await train('--data', 'long.jsonl', '--output', 'long')
    expect([code, stderr]).toEqual([0, 'warning: 10 of 40 questions are longer than --max-length 32 and are left out\n'])
  })

  it('inspects its data', async () => {
    const { code, stderr } = await run('inspect', '--task', 'choice', '--data', 'rows.jsonl', '--model', 'llama')
    expect([code, stderr]).toEqual([0, ''])
  })
})

describe('rows of multiple choice', () => {
  const read = async (row: object) => (await readChoices(write('row.jsonl', JSON.stringify(row)))).examples[0]
  const usual = { question: 'Why?', choices: ['a', 'bb', 'c'] }
  const arc = (label: readonly string[], answerKey: unknown) => ({ question: 'Why?', choices: { text: usual.choices, label }, answerKey })

  it.each<readonly [string, object]>([
    ['an index', { ...usual, answer: 1 }],
    ['an index as a text', { ...usual, answer: '1' }],
    ['a letter', { ...usual, answer: 'B' }],
    ['a small letter', { ...usual, answer: ' b' }],
    ['a letter as answerKey', { ...usual, answerKey: 'B' }],
    ["ARC's letters", arc(['A', 'B', 'C'], 'B')],
    ["ARC's numbers, which begin at 1", arc(['1', '2', '3'], '2')],
    ['a number among labels', arc(['1', '2', '3'], 2)],
  ])('are the same with %s', async (_, row) => {
    const example = await read(row)
    expect(JSON.parse(example?.text ?? '')).toEqual(usual)
    expect(example?.label).toBe(1)
  })

  it('take numbers as texts', async () => {
    expect(JSON.parse((await read({ question: '1 + 1?', choices: [1, 2], answer: 1 }))?.text ?? '')).toEqual({
      question: '1 + 1?',
      choices: ['1', '2'],
    })
  })

  it.each<readonly [string, object, RegExp]>([
    ['no answer', usual, /row 1: expected a row with "question", "choices", and "answer" or "answerKey", got one without "answer"$/],
    ['no question', { choices: ['a', 'b'], answer: 0 }, /got one without "question"$/],
    ['an empty question', { ...usual, question: ' ', answer: 0 }, /expected a text as "question", got an empty one$/],
    ['a question that is no text', { ...usual, question: ['a'], answer: 0 }, /expected a text as "question", got \["a"\]$/],
    ['a single choice', { ...usual, choices: ['a'], answer: 0 }, /expected "choices" of 2 to 100 texts, .* got \["a"\]$/],
    ['too many choices', { ...usual, choices: new Array(101).fill('a'), answer: 0 }, /expected "choices" of 2 to 100 texts/],
    ['choices that are no list', { ...usual, choices: 'a, b', answer: 0 }, /expected "choices" of 2 to 100 texts, .* got "a, b"$/],
    ['an empty choice', { ...usual, choices: ['a', ' '], answer: 0 }, /expected a text in each of "choices", got an empty one$/],
    ['an index beyond the choices', { ...usual, answer: 3 }, /expected as answer an index from 0 to 2, or a letter from A to C, got 3$/],
    ['a letter beyond the choices', { ...usual, answer: 'D' }, /or a letter from A to C, got "D"$/],
    ['a negative index', { ...usual, answer: -1 }, /or a letter from A to C, got -1$/],
    ['an empty answer', { ...usual, answer: '' }, /or a letter from A to C, got ""$/],
    ['an unknown label', arc(['A', 'B', 'C'], 'D'), /expected as answer one of the labels A, B or C, got "D"$/],
    ['labels of another number', arc(['A', 'B'], 'A'), /expected a label for each of 3 choices, got \["A","B"\]$/],
  ])('refuse %s', async (_, row, message) => {
    await expect(read(row)).rejects.toThrow(message)
  })

  it('refuse a file without any', async () => {
    await expect(readChoices(write('none.json', '[]'))).rejects.toThrow(/none\.json: expected at least one /)
  })
})

describe('scores of multiple choice', () => {
  const answer = (logProbabilities: readonly number[], lengths: readonly number[], right: number) => ({
    logProbabilities,
    lengths,
    right,
    tokens: 2,
  })

  it('take the first of equal answers, and divide by characters', () => {
    const answers = [answer([-2, -2], [1, 2], 0), answer([-3, -4], [1, 2], 1), answer([-1, -5], [1, 1], 1)]
    expect(scoreChoices(answers)).toEqual({ accuracy: 1 / 3, accuracyNorm: 1 / 3, loss: (2 + 4 + 5) / 6 })
    expect(() => scoreChoices([])).toThrow(/expected at least one question/)
  })
})
