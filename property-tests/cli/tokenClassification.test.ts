/** Token classification, from a tagged file to entities and to other tools. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AutoModelForTokenClassification, AutoTokenizer, env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import { scoreAdapter } from '../../finetuning/use/scoreAdapter.js'
import { readDetails } from '../../finetuning/run/evaluationDetails.js'
import { makeReport } from '../../reporting/report/makeReport.js'
import { readRunRows } from '../../finetuning/run/runRows.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { loadEvaluation } from '../../finetuning/tasks/index.js'
import { fixtures } from '../golden/golden.js'
import { refusalOf } from '../support/refusal.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('entities', {})
const at = (name: string): string => join(cwd, name)

const names = ['Ann', 'Bob', 'Tom', 'Sue']
const cities = ['Rome', 'Paris', 'London']
/** Sentences with a person of one word or two, and perhaps a city. */
const sentences = Array.from({ length: 60 }, (_, i) => [
  [names[i % 4], 'B-person'],
  ...(i % 3 === 0 ? [[names[(i + 1) % 4], 'I-person']] : []),
  ...[
    ['went', 'O'],
    ['to', 'O'],
  ],
  ...(i % 2 === 0 ? [[cities[i % 3], 'B-place']] : [['work', 'O']]),
  ...[
    [String(i), 'O'],
    ['.', 'O'],
  ],
])
const conll = sentences.map((words) => words.map((cells) => `${cells.join('\t')}\n`).join('')).join('\n')

const trainFlags = {
  ...{ method: 'lora', rank: '4', maxLength: '32', maxSteps: '150', batchSize: '8', learningRate: '0.02', evalSteps: '75' },
  ...{ device: 'cpu', threads: '1' },
} as const

let trained: RunResult
beforeAll(async () => {
  env.allowRemoteModels = false
  await writeFile(at('people.conll'), conll)
  trained = await runJob({ ...trainFlags, model: at('tiny'), task: at('people.conll'), output: at('run') })
})

type Entity = { readonly entity_group: string; readonly score: number; readonly word: string; readonly start: number; readonly end: number }

describe('token classification', () => {
  it('finds the entities of a small file, and reports the scores of entities', () => {
    expect(Object.keys(trained.best?.scores ?? {})).toEqual(['precision', 'recall', 'f1', 'accuracy', 'loss'])
    expect(trained.best?.scores['f1']).toBeGreaterThan(0.9)
    expect(trained).toMatchObject({ taskType: 'token-classification', selectedBy: 'f1', majority: { label: 'O' } })
  })

  it('gives the scores of the run in salora evaluate, by entity type', async () => {
    const { stdout, code } = await saloraIn(['evaluate', '--run', 'run', '--json', '--quiet'], { cwd })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      scores: trained.best?.scores,
      confusion: null,
      byClass: [{ label: 'person' }, { label: 'place' }],
      examples: 6,
    })
    const text = (await saloraIn(['evaluate', '--run', 'run', '--task', 'people.conll', '--quiet'], { cwd })).stdout
    expect(text).toMatch(/^f1 +0\.9\d+|^f1 +1\.0000/m)
    expect(text).toMatch(/^person +[01]\.\d{4} +[01]\.\d{4} +[01]\.\d{4} +60$/m)
    expect(text).toMatch(/^the run trained on 54 of these 60 texts/m)
  })

  it('shows entities by type, not classes of rows, in salora inspect', async () => {
    const { stdout } = await saloraIn(['inspect', '--task', 'people.conll', '--quiet'], { cwd })
    expect(stdout).toMatch(/^entities +90 of 2 types$/m)
    expect(stdout).toMatch(/^ +"person" +60 +66\.7 %$/m)
    expect(stdout).not.toMatch(/class|always answering/)
  })

  it('prints the entities of each text under the names of transformers, with offsets in characters', async () => {
    const { stdout, stderr, code } = await saloraIn(['predict', '--run', 'run', '--quiet'], {
      cwd,
      input: 'Ann Bob went to Rome 1 .\n😀 Sue went to work 3 .\n\n',
    })
    const answers = jsonLines<{ entities: Entity[]; error?: string }>(stdout)
    expect(code).toBe(1)
    expect(stderr).toBe('standard input, line 3: expected a text, got an empty one\n')
    const [first] = answers
    expect(first?.entities.map(({ score: _, ...entity }) => entity)).toEqual([
      { entity_group: 'person', word: 'Ann Bob', start: 0, end: 7 },
      { entity_group: 'place', word: 'Rome', start: 16, end: 20 },
    ])
    for (const { score } of first?.entities ?? []) expect(score > 0.5 && score <= 1).toBe(true)
    for (const { word, start, end } of answers[1]?.entities ?? [])
      expect([...'😀 Sue went to work 3 .'].slice(start, end).join('')).toBe(word)
  })

  it('prints entities as CSV and as one JSON document, and an error for a pair of texts', async () => {
    const csv = await saloraIn(['predict', '--run', 'run', '--to', 'csv', '--quiet'], { cwd, input: 'Ann went to Rome\n' })
    expect(csv.stdout).toMatch(/^text,entities,error\nAnn went to Rome,"\[\{""entity_group"":""person""/)
    const json = await saloraIn(['predict', '--run', 'run', '--json', '--quiet'], { cwd, input: 'Ann\tBob\nAnn went\n' })
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject([
      { error: 'text, cut at tabs: expected one text, as in the data of the run, got two' },
      { entities: [{ word: 'Ann' }] },
    ])
  })

  it('reads predictions again as spans, and scores them as right', async () => {
    const texts = sentences.slice(0, 9).map((words) => words.map(([word]) => word).join(' '))
    const { stdout } = await saloraIn(['predict', '--run', 'run', '--quiet'], { cwd, input: `${texts.join('\n')}\n` })
    const rows = jsonLines<object>(stdout).map((row, i) => JSON.stringify({ text: texts[i], ...row }))
    await writeFile(at('spans.jsonl'), rows.join('\n'))
    const flags = ['--task', 'spans.jsonl', '--problem-type', 'token-classification', '--json', '--quiet']
    const scored = await saloraIn(['evaluate', '--run', 'run', ...flags], { cwd })
    expect(JSON.parse(scored.stdout)).toMatchObject({ scores: { precision: 1, recall: 1, f1: 1, accuracy: 1 } })
  })

  it('counts words that --max-length cuts off as O, with a warning', async () => {
    const { stdout, stderr } = await saloraIn(['evaluate', '--run', 'run', '--task', 'people.conll', '--max-length', '4', '--json'], {
      cwd,
    })
    expect(stderr).toMatch(/warning: 60 of 60 texts are longer than --max-length 4 and are truncated/)
    const { scores, byClass } = JSON.parse(stdout) as {
      scores: Record<string, number>
      byClass: { label: string; recall: number; examples: number }[]
    }
    expect(byClass.find(({ label }) => label === 'place')).toMatchObject({ recall: 0, examples: 30 })
    expect(scores['recall']).toBeLessThan(1)
  })

  it('has in evaluation.json the sentences with wrong tags, as salora predict finds entities, and the report shows them', async () => {
    const short = { ...trainFlags, learningRate: '0.002', maxSteps: '2', evalSteps: '2', model: at('tiny'), task: at('people.conll') }
    await runJob({ ...short, output: at('short') })
    const { errors = [] } = (await readDetails(at('short'))) ?? {}
    expect(errors.length).toBeGreaterThan(2)
    const { stdout } = await saloraIn(['predict', '--run', 'short', '--quiet'], {
      cwd,
      input: errors.map(({ text }) => `${text}\n`).join(''),
    })
    const lines = stdout.trimEnd().split('\n')
    errors.forEach(({ text, label, predicted }, i) => {
      const sentence = sentences.find((words) => words.map(([word]) => word).join(' ') === text)
      expect(label).toBe(sentence?.map(([, tag]) => tag).join(' '))
      const { entities } = JSON.parse(lines[i] ?? '') as { readonly entities: readonly Entity[] }
      const types = predicted.split(' ').filter((tag) => tag.startsWith('B-')).length
      expect(predicted.split(' ')).toHaveLength(sentence?.length ?? 0)
      expect(predicted).not.toBe(label)
      expect(entities.length).toBeGreaterThanOrEqual(types)
    })
    expect(errors.map(({ loss }) => loss)).toEqual(errors.map(({ loss }) => loss).toSorted((a, b) => b - a))
    await makeReport({ folders: [at('short')], output: at('short.html'), figures: null })
    expect(await readFile(at('short.html'), 'utf8')).toMatch(
      /<span class="tagged"><mark class="type-0">(Ann|Bob|Tom|Sue)( (Ann|Bob|Tom|Sue))?<small> person<\/small><\/mark> went to /,
    )
  })

  it('scores an adapter that is open on the words of the data', async () => {
    const opened = await openTrainedAdapter({ model: at('tiny'), adapter: at('run/adapter'), device: 'cpu', maxLength: 32 })
    const data = await loadEvaluation({ task: at('people.conll'), labelNames: opened.labelNames ?? [] })
    const { scores } = await scoreAdapter(opened, data)
    const given = await opened.predictions([{ text: 'Ann Bob went', words: [0, 7, 8, 12] }]).finally(opened.release)
    expect(scores['f1']).toBeGreaterThan(0.9)
    expect(given).toMatchObject([{ entities: [{ word: 'Ann Bob' }] }])
    expect((await readRunRows(at('run')))?.heldOut).toBe(true)
  })
})

describe('exports of token classification', () => {
  const text = 'Ann Bob went to Rome 1 .'
  const tags = ['B-person', 'I-person', 'O', 'O', 'B-place', 'O', 'O']
  const ours = async () => {
    const opened = await openTrainedAdapter({ model: at('tiny'), adapter: at('run/adapter'), device: 'cpu', maxLength: 32 })
    const [encoding] = [opened.encode({ text })]
    const [logits = []] = await opened.answer([encoding])
    const [prediction] = await opened.predictions([{ text }]).finally(opened.release)
    return {
      logits,
      places: encoding.places ?? [],
      names: opened.labelNames ?? [],
      entities: (prediction as { entities: Entity[] }).entities,
    }
  }

  it('writes the adapter as PEFT with TOKEN_CLS, and model card and names of its type', async () => {
    expect(JSON.parse(await readFile(at('run/adapter/adapter_config.json'), 'utf8'))).toMatchObject({
      task_type: 'TOKEN_CLS',
      modules_to_save: ['classifier', 'score'],
    })
    expect(JSON.parse(await readFile(at('run/adapter/salora.json'), 'utf8'))).toEqual({
      labelNames: ['O', 'B-person', 'I-person', 'B-place', 'I-place'],
      taskType: 'token-classification',
      head: 'token',
      problemType: null,
    })
    expect(await readFile(at('run/adapter/README.md'), 'utf8')).toMatch(/^pipeline_tag: token-classification$/m)
  })

  it("opens in transformers.js' token-classification pipeline, with the same logits and the same entities", async () => {
    const { stderr, stdout } = await saloraIn(
      ['export', '--run', 'run', '--format', 'transformers.js', '--output', 'js', '--json', '--quiet'],
      { cwd },
    )
    expect(stderr).toMatch(/^warning: pipeline\('token-classification'\) also labels the later pieces of a word/)
    const { comparison } = JSON.parse(stdout) as { comparison: Record<string, number> }
    expect(comparison['largestLogitDifference']).toBeLessThan(1e-5 * (comparison['largestLogit'] ?? 0))
    const { logits, places, names: labels, entities } = await ours()
    const options = { device: 'cpu', dtype: 'fp32', local_files_only: true } as const
    const [tokenizer, model] = [
      await AutoTokenizer.from_pretrained(at('js')),
      await AutoModelForTokenClassification.from_pretrained(at('js'), options),
    ]
    const output = (await model(await tokenizer(text))) as { logits: { dims: number[]; data: Float32Array } }
    const [, , width = 0] = output.logits.dims
    expect(width).toBe(labels.length)
    const theirs = places.flatMap((place) => Array.from(output.logits.data.slice(place * width, (place + 1) * width)))
    theirs.forEach((logit, i) => expect(Math.abs(logit - (logits[i] ?? NaN))).toBeLessThan(1e-4))
    await model.dispose()
    const classify = await pipeline('token-classification', at('js'), options)
    const found = await classify(text, { ignore_labels: [] })
    await classify.dispose()
    const byIndex = new Map(found.map(({ index, entity }) => [index, entity]))
    expect(places.map((place) => byIndex.get(place))).toEqual(tags)
    expect(entities.map(({ word }) => word)).toEqual(['Ann Bob', 'Rome'])
  })

  it.each(['int8', 'float16'])('opens in the pipeline in %s, with the same tags', async (precision) => {
    const flags = ['--format', 'transformers.js', '--precision', precision, '--output', precision, '--quiet']
    await saloraIn(['export', '--run', 'run', ...flags], { cwd })
    const classify = await pipeline('token-classification', at(precision), { device: 'cpu', local_files_only: true })
    const found = await classify(text, { ignore_labels: [] })
    await classify.dispose()
    const { places } = await ours()
    expect(found.filter(({ index }) => places.includes(index)).map(({ entity }) => entity)).toEqual(tags)
  })

  it('merges into a model that predicts the same by itself, and is scored by itself', async () => {
    await saloraIn(['export', '--run', 'run', '--format', 'merged', '--output', 'merged', '--quiet'], { cwd })
    expect(JSON.parse(await readFile(at('merged/config.json'), 'utf8'))).toMatchObject({
      architectures: ['RobertaForTokenClassification'],
      id2label: { 0: 'O', 1: 'B-person' },
    })
    const answers = (model: readonly string[]) => saloraIn(['predict', ...model, '--quiet'], { cwd, input: `${text}\n` })
    const [byRun, byItself] = [await answers(['--run', 'run']), await answers(['--model', 'merged'])]
    const wordsOf = ({ stdout }: { stdout: string }) => (JSON.parse(stdout) as { entities: Entity[] }).entities.map(({ word }) => word)
    expect(wordsOf(byItself)).toEqual(wordsOf(byRun))
    const scored = await saloraIn(['evaluate', '--model', 'merged', '--task', 'people.conll', '--json', '--quiet'], { cwd })
    expect((JSON.parse(scored.stdout) as { scores: Record<string, number> }).scores['f1']).toBeGreaterThan(0.9)
  })

  it('starts a new run from the adapter, with its head', async () => {
    const again = await runJob({
      ...{ ...trainFlags, maxSteps: '1', learningRate: '1e-9', evalSteps: '1', model: at('tiny'), adapter: at('run/adapter') },
      ...{ task: at('people.conll'), output: at('again') },
    })
    expect(again.last.scores['f1']).toBe(trained.best?.scores['f1'])
  })
})

describe('token classification with other methods', () => {
  it.each(['full', 'pfeiffer', 'prompt', 'prefix'])('%s trains, is read again, and exports a model for the pipeline', async (method) => {
    const { method: _, rank: __, ...flags } = trainFlags
    const more = method === 'prompt' || method === 'prefix' ? { numVirtualTokens: '2' } : {}
    await runJob({
      ...flags,
      ...more,
      method,
      maxSteps: '4',
      evalSteps: '4',
      model: at('tiny'),
      task: at('people.conll'),
      output: at(method),
    })
    const { stdout } = await saloraIn(
      ['export', '--run', method, '--format', 'transformers.js', '--output', `${method}-js`, '--json', '--quiet'],
      { cwd },
    )
    const { comparison } = JSON.parse(stdout) as { comparison: Record<string, number> }
    expect(comparison['largestLogitDifference']).toBeLessThan(1e-4 * (comparison['largestLogit'] ?? 0))
    const scored = await saloraIn(['evaluate', '--run', method, '--json', '--quiet'], { cwd })
    expect(Object.keys((JSON.parse(scored.stdout) as { scores: object }).scores)).toContain('f1')
  })
})

describe('token classification of a decoder', () => {
  it('is refused in one line', async () => {
    expect(
      await refusalOf(() => runJob({ ...trainFlags, model: join(fixtures, 'llama'), task: at('people.conll'), output: at('no') })),
    ).toBe(`--model: expected an encoder, as --task ${at('people.conll')} asks for a tag per word, got a decoder of type llama`)
  })
})
