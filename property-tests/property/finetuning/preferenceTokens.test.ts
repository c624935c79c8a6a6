/** Tokens of preferences: the loss covers the last answer of each text, and both texts of a pair fit or none. */
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { unlabeled, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import { openPreferenceTokens } from '../../../finetuning/tasks/preferences/tokens.js'
import { preferenceText, readPreferences, type PreferenceText } from '../../../finetuning/tasks/preferences/examples.js'
import { fixtures } from '../../golden/golden.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('preference-tokens')
const template =
  "{% for m in messages %}{{ '<s> ' + ('w48' if m['role'] == 'user' else 'w49') + ' ' + m['content'] + ' </s> ' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<s> w49 ' }}{% endif %}"
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), folder, { recursive: true })
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template: template }))
})

const example = (chosen: PreferenceText, rejected: PreferenceText, row = 1) => ({
  text: JSON.stringify(chosen),
  textPair: JSON.stringify(rejected),
  label: 0,
  row,
})
const learned = ({ targets }: LabeledText): readonly number[] => Array.from(targets).filter((target) => target !== unlabeled)
const conversation = (...contents: readonly string[]): PreferenceText => ({
  messages: contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
})

describe('tokens of preferences', () => {
  it('are those of the whole conversation, and the last answer and its end are learned', async () => {
    const { training } = await openPreferenceTokens(await openModelFolder(folder), { promptTemplate: 'chat', templateDate: undefined }, 64)
    const [only] = [training([example(conversation('w5', 'w6', 'w7', 'w8 w9'), conversation('w5', 'w6', 'w7', 'w10'))]).at(0)]
    const before = [1, 48, 5, 2, 1, 49, 6, 2, 1, 48, 7, 2, 1, 49]
    expect(Array.from(only?.chosen.inputIds ?? [])).toEqual([...before, 8, 9, 2])
    expect(Array.from(only?.rejected.inputIds ?? [])).toEqual([...before, 10, 2])
    expect(only && [learned(only.chosen), learned(only.rejected)]).toEqual([
      [8, 9, 2],
      [10, 2],
    ])
    expect(only?.ends).toEqual([17, 33])
  })

  it('begin with the start token without a chat template', async () => {
    const { evaluation } = await openPreferenceTokens(
      await openModelFolder(folder),
      { promptTemplate: 'paper', templateDate: undefined },
      64,
    )
    const only = evaluation([example({ prompt: 'w5 ', answer: 'w6' }, { prompt: 'w5 ', answer: 'w7 w8' })]).at(0)
    expect(Array.from(only?.chosen.inputIds ?? [])).toEqual([1, 5, 6, 2])
    expect(only && [learned(only.chosen), learned(only.rejected)]).toEqual([
      [6, 2],
      [7, 8, 2],
    ])
  })

  it("with none, are the prompt's, the answer's and the end, as TRL has them", async () => {
    const file = join(folder, 'pairs.jsonl')
    await writeFile(file, JSON.stringify({ prompt: 'w5 w6', chosen: ' w7', rejected: ' w8 w9' }))
    const { examples } = await readPreferences(file, 'none')
    expect(preferenceText(examples[0]?.text ?? '')).toEqual({ prompt: 'w5 w6', answer: ' w7' })
    const template = { promptTemplate: 'none', templateDate: undefined } as const
    const only = (await openPreferenceTokens(await openModelFolder(folder), template, 64)).training(examples).at(0)
    expect(only && [only.chosen, only.rejected].map(({ inputIds }) => Array.from(inputIds))).toEqual([
      [1, 5, 6, 7, 2],
      [1, 5, 6, 8, 9, 2],
    ])
    expect(only && [learned(only.chosen), learned(only.rejected)]).toEqual([
      [7, 2],
      [8, 9, 2],
    ])
  })

  it('leave out a pair if either text is too long', async () => {
    const { training, warnings } = await openPreferenceTokens(
      await openModelFolder(folder),
      { promptTemplate: 'paper', templateDate: undefined },
      4,
    )
    const [short, long] = [
      { prompt: 'w5 ', answer: 'w6' },
      { prompt: 'w5 ', answer: 'w6 w7' },
    ]
    const kept = training([example(long, short, 1), example(short, long, 2), example(short, { prompt: 'w5 ', answer: 'w9' }, 3)])
    expect([kept.length, kept.at(0)?.row, warnings()]).toEqual([1, 3, ['2 of 3 pairs are longer than --max-length 4 and are left out']])
    expect(() => training([example(long, short)])).toThrow(
      /^maxLength: expected at least \d+, the tokens of the shortest prompt with both answers, got 4$/,
    )
  })
})
