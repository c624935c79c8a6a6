/** The model card, parsed as YAML and Markdown: hostile labels, paths and names appear as text and add no structure. */
import fc from 'fast-check'
import { marked, type Token } from 'marked'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { CardFacts } from '../../../finetuning/run/cardFacts.js'
import { buildExportCard, modelCard } from '../../../finetuning/run/modelCard.js'
import { usageCode, buildUsage } from '../../../finetuning/run/usageExamples.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

const result: CardFacts['result'] = {
  device: 'cpu',
  revision: null,
  examples: { training: 90, evaluation: 10 },
  trainableParameters: { adapter: 5, head: 3 },
  majority: { label: 'bad', share: 0.5 },
  selectedBy: 'accuracy',
  positive: 'good',
  best: { step: 8, scores: { accuracy: 0.9, f1: 0.875, macroF1: 0.85, loss: 5e-7 } },
  last: { step: 12, scores: { accuracy: 0.8, f1: 0.75, macroF1: 0.7, loss: 0.5 } },
  kept: { which: 'best', step: 8 },
  interrupted: false,
  stepsDone: 12,
  steps: 12,
  targetDensity: 0.5,
  retainedDensity: 0.4567,
  retainedParameters: 123,
  ranks: { 'encoder.layer.0.attention.self.query': 4, 'encoder.layer.0.attention.self.key': 0 },
  seconds: 77.7,
  peakMemoryBytes: 888_888,
  seed: 0,
  output: '/home/me/secret/runs/one',
}
const facts = (given: Partial<CardFacts> = {}): CardFacts => ({
  options: {
    model: '/home/me/models/tiny',
    task: { task: '/home/me/data/reviews.csv', text: 'review', positiveLabel: 'good' },
    settings: resolveSettings({ method: 'salora', epochs: 2, learningRate: 0.002, targetModules: ['query', 'value'] }),
  },
  hubId: 'FacebookAI/roberta-base',
  library: 'peft',
  data: {
    taskType: singleLabel,
    labelNames: ['bad', 'good'],
    heldOut: true,
    train: { source: '/home/me/data/reviews.csv' },
    evaluation: { source: '/home/me/data/reviews.csv' },
    test: null,
  },
  result,
  ...given,
})

/** As the hub cuts a card in two. */
const parts = (card: string): { readonly front: string; readonly body: string } => {
  const [all, front = ''] = /^---\n([\s\S]*?)\n---\n/.exec(card) ?? []
  if (all === undefined) throw new Error(`expected front matter, got ${card.slice(0, 80)}`)
  return { front, body: card.slice(all.length) }
}
const front = (card: string, version: '1.1' | '1.2' = '1.1'): unknown => parse(parts(card).front, { version })

const tokensOf = (body: string): readonly Token[] => {
  const tokens: Token[] = []
  marked.walkTokens(marked.lexer(body), (token) => void tokens.push(token))
  return tokens
}

describe('the front matter of a model card', () => {
  it('has the fields of the hub in YAML 1.1 and 1.2, with a small loss as a number', () => {
    for (const version of ['1.1', '1.2'] as const)
      expect(front(modelCard(facts()), version)).toEqual({
        library_name: 'peft',
        base_model: 'FacebookAI/roberta-base',
        base_model_relation: 'adapter',
        pipeline_tag: 'text-classification',
        tags: ['salora'],
        metrics: ['accuracy', 'f1'],
        'model-index': [
          {
            name: 'roberta-base-reviews-salora',
            results: [
              {
                task: { type: 'text-classification' },
                dataset: { name: 'reviews.csv', type: 'reviews.csv' },
                metrics: [
                  { type: 'accuracy', name: 'Accuracy', value: 0.9 },
                  { type: 'f1', name: 'F1', value: 0.875 },
                  { type: 'f1', name: 'F1 (macro)', value: 0.85 },
                  { type: 'loss', name: 'Loss', value: 5e-7 },
                ],
              },
            ],
          },
        ],
      })
  })

  it('omits a base model that is only a folder, scores of a step without an evaluation, and scores that are not numbers', () => {
    const none = front(modelCard(facts({ hubId: null, result: { ...result, kept: { which: 'last', step: 11 } } })))
    expect(none).toMatchObject({ 'model-index': [{ results: [] }] })
    expect(none).not.toHaveProperty('base_model')
    const broken = { ...result, best: { step: 8, scores: { accuracy: 1, f1: NaN } } }
    expect(front(modelCard(facts({ result: broken })))).toMatchObject({
      'model-index': [{ results: [{ metrics: [{ type: 'accuracy', value: 1 }] }] }],
    })
  })
})

describe('the scores of a model card', () => {
  const tested = facts({
    data: { ...facts().data, test: { source: '/home/me/data/new.csv' } },
    result: {
      ...result,
      examples: { training: 90, evaluation: 10, test: 7 },
      test: { step: 8, scores: { accuracy: 0.6, f1: 0.5, macroF1: 0.4, loss: 1.5 } },
    },
  })

  it('are those of the test split, for the hub and first in the text, and it says which split chose the step', () => {
    const card = modelCard(tested)
    expect(front(card)).toMatchObject({
      'model-index': [
        {
          results: [
            {
              dataset: { name: 'new.csv', type: 'reviews.csv' },
              metrics: [{ value: 0.6 }, { value: 0.5 }, { value: 0.4 }, { value: 1.5 }],
            },
          ],
        },
      ],
    })
    const { body } = parts(card)
    const places = [
      'tested on 7 rows of `new.csv`',
      'On the test split `new.csv`, which took no part in choosing the step:',
      '| Accuracy | 0.6000 |',
      'On the evaluation split, which chose the step:',
      '| Accuracy | 0.9000 | 0.8000 |',
    ].map((text) => body.indexOf(text))
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(places).not.toContain(-1)
    expect(body).not.toContain('no separate test split')
    const last = parts(modelCard({ ...tested, result: { ...tested.result, kept: { which: 'last', step: 12 } } })).body
    expect(last).toContain('\nOn the evaluation split:\n')
  })

  it('come with a plain sentence where there is no test split', () => {
    expect(parts(modelCard(facts())).body).toContain(
      '\nThe rows that these scores are from also chose the step: there was no separate test split, so new texts may score lower.\n',
    )
    const last = parts(modelCard(facts({ result: { ...result, kept: { which: 'last', step: 12 } } }))).body
    expect(last).toContain('\nThere was no separate test split.\n')
  })
})

describe('the text of a model card', () => {
  it('has data, scores of both steps, settings, budget and command, only last names of paths, and no date', () => {
    const { body } = parts(modelCard(facts()))
    for (const line of [
      'step 8 of 12, the best by accuracy',
      '- trained on 90 rows of `reviews.csv`',
      '- evaluated on 10 rows of `reviews.csv`, held out of the same file',
      '- 2 classes: `bad`, `good`',
      '| Accuracy | 0.9000 | 0.8000 |',
      'F1 is of the class `good`.',
      '- learningRate: `0.002`',
      '- density retained: 0.4567',
      '| encoder.layer.0.attention.self.query | 4 |',
      'salora train --model FacebookAI/roberta-base --task reviews.csv --text review --positive-label good --method salora --target-modules query,value',
      '--learning-rate 0.002',
    ])
      expect(body).toContain(line)
    expect(modelCard(facts())).not.toMatch(/home|secret|77\.7|888888/)
  })

  it('has the command with a switch that the run turned off', () => {
    const { options } = facts()
    const settings = { ...options.settings, loadBestModelAtEnd: false }
    expect(parts(modelCard(facts({ options: { ...options, settings } }))).body).toMatch(
      /salora train .* --no-load-best-model-at-end(\s|$)/m,
    )
  })

  it('quotes hostile labels, files, columns and model names: the front matter parses and the Markdown gains no parts', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
      fc.constantFrom(
        '`',
        '``a`',
        '</code><script>x</script>',
        'a\n---\nb',
        '---',
        '\n```\n# head',
        '[x](http://y)',
        '!!python/object',
        '\ud800',
        'a|b\\|c',
        '\\',
        '\u0085\u2028',
        "it's",
        '"',
        '$(x)',
        '- x',
        ' ',
      ),
    )
    const kinds = (card: string) =>
      tokensOf(parts(card).body)
        .filter(({ type }) => ['heading', 'code', 'table', 'list', 'html', 'link', 'image'].includes(type))
        .map(({ type }) => type)
    const plain = kinds(modelCard(facts()))
    fc.assert(
      fc.property(hostile, hostile, hostile, hostile, (label, file, column, model) => {
        const given = facts()
        const card = modelCard({
          ...given,
          hubId: null,
          options: { ...given.options, model: `/m/${model}`, task: { task: `/d/${file}.csv`, text: column, positiveLabel: label } },
          data: {
            ...given.data,
            labelNames: [label, 'good'],
            train: { source: `/d/${file}.csv` },
            evaluation: { source: `/d/${file}.csv` },
          },
          result: { ...result, positive: label, majority: { label, share: 0.5 } },
        })
        expect(card).toBe(Buffer.from(card, 'utf8').toString('utf8'))
        for (const version of ['1.1', '1.2'] as const)
          expect(front(card, version)).toMatchObject({ 'model-index': [{ results: [{ metrics: [{ value: 0.9 }, {}, {}, {}] }] }] })
        expect(kinds(card)).toEqual(plain)
      }),
      { numRuns: 300 },
    )
  })

  it('counts 140,000 classes and lists only the first', () => {
    const labelNames = Array.from({ length: 140_000 }, (_, i) => `class ${i}`)
    const card = modelCard(facts({ data: { ...facts().data, labelNames } }))
    expect(card).toContain('- 140000 classes: `class 0`, ')
    expect(card).toContain(' and 139950 more')
    expect(card.length).toBeLessThan(10_000)
  })
})

describe('the model card of an export', () => {
  it('is the card of the run plus how to open the export; a foreign card is not copied', () => {
    const card = modelCard(facts())
    expect(buildExportCard(card, null)).toBe(card)
    expect(front(buildExportCard(card, 'transformers') ?? '')).toEqual({
      ...(front(card) as object),
      library_name: 'transformers',
      base_model_relation: 'finetune',
    })
    expect(buildExportCard('---\nbase_model: x\nlibrary_name: peft\n---\n', 'transformers')).toBe(null)
  })
})

describe('the code that opens the result', () => {
  const codeIn = (card: string): readonly string[] =>
    tokensOf(parts(card).body).flatMap((token) => (token.type === 'code' ? [`${String(token['lang'])}\n${String(token['text'])}`] : []))

  it('is in the card, for the library that opens the adapter', () => {
    expect(codeIn(modelCard(facts()))[0]).toBe(
      [
        'python',
        'from peft import PeftModel',
        'from transformers import AutoModelForSequenceClassification',
        '',
        'base = AutoModelForSequenceClassification.from_pretrained("FacebookAI/roberta-base", num_labels=2)',
        'model = PeftModel.from_pretrained(base, "ADAPTER")',
      ].join('\n'),
    )
    expect(codeIn(modelCard(facts({ library: 'adapter-transformers', hubId: null })))[0]).toContain(
      'model = AutoAdapterModel.from_pretrained("tiny")\nmodel.load_adapter("ADAPTER", set_active=True)',
    )
  })

  it('is replaced in the card of an export, and nothing else is', () => {
    const card = modelCard(facts())
    const usage = buildUsage('transformers.js', {
      base: 'b',
      place: 'MODEL',
      pipelineTag: 'text-classification',
      labels: 2,
      precision: 'int8',
    })
    const exported = buildExportCard(card, 'transformers.js', usage) ?? ''
    const [, ...others] = codeIn(card)
    expect(codeIn(exported)).toEqual([
      "js\nimport { pipeline } from '@huggingface/transformers'\n\nconst model = await pipeline('text-classification', \"MODEL\", { dtype: 'q8' })",
      ...others,
    ])
    expect(exported.slice(exported.indexOf('## Data'))).toBe(card.slice(card.indexOf('## Data')))
    const number = { base: 'b', place: 'p', pipelineTag: 'text-classification', labels: 1 } as const
    expect(usageCode(buildUsage('transformers.js', number)).split('\n')).toEqual([
      "import { AutoModelForSequenceClassification, AutoTokenizer } from '@huggingface/transformers'",
      '',
      'const tokenizer = await AutoTokenizer.from_pretrained("p")',
      'const model = await AutoModelForSequenceClassification.from_pretrained("p", { dtype: \'fp32\' })',
      "const { logits } = await model(tokenizer('TEXT'))",
      'console.log(logits.data[0]) // the score',
    ])
    expect(buildUsage('transformers.js', { ...number, labels: 3, havePairs: true }).use).toEqual([
      "const { logits } = await model(tokenizer('TEXT', { text_pair: 'SECOND TEXT' }))",
      'console.log(logits.data) // one for each class',
    ])
    expect(buildUsage('peft', { base: 'b', place: 'p', pipelineTag: 'text-generation', labels: 0 }).setup.join('\n')).toContain(
      'AutoModelForCausalLM.from_pretrained("b")',
    )
  })
})
