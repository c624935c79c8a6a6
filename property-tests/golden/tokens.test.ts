/** Our token ids are those of Hugging Face's tokenizers on 10,000 rows of real text: singles and pairs, short and cut. Fixtures hold digests, no text. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { fixtures } from './golden.js'

type Part = {
  readonly file: string
  readonly from: number
  readonly to: number
  readonly columns: readonly [number, number?]
  readonly maxLength: number
}

const data = join(import.meta.dirname, '../../../shared/data')
const minilm = process.env['SALORA_TEST_MODEL']
const expected = JSON.parse(readFileSync(join(fixtures, 'tokens.json'), 'utf8')) as Record<'embedded' | 'minilm', readonly string[]>
const parts = JSON.parse(readFileSync(join(import.meta.dirname, 'sentences.json'), 'utf8')) as readonly Part[]

/** One digest for each hundred rows, as golden_tokens.py makes them. */
const digestsOf = async (folder: string): Promise<readonly string[]> => {
  const { encode } = await loadTokenizer(folder, (await openModelFolder(folder)).model)
  const lines = parts.flatMap(({ file, from, to, columns: [first, second], maxLength }) =>
    readFileSync(join(data, file), 'utf8')
      .split('\n')
      .slice(from, to)
      .map((line) => {
        const cells = line.split('\t')
        const { inputIds, tokenTypeIds } = encode(cells[first] ?? '', second === undefined ? undefined : cells[second], maxLength)
        return `${inputIds.join()};${tokenTypeIds.join()}\n`
      }),
  )
  return Array.from({ length: Math.ceil(lines.length / 100) }, (_, i) =>
    createHash('sha256')
      .update(lines.slice(100 * i, 100 * i + 100).join(''))
      .digest('hex')
      .slice(0, 16),
  )
}

/** Hundreds of rows whose ids differ, by their number. */
const differing = (ours: readonly string[], theirs: readonly string[]): readonly number[] =>
  theirs.flatMap((digest, i) => (ours[i] === digest ? [] : [i]))

describe.skipIf(!existsSync(data))('token ids of 10,000 rows (needs ../shared/data)', () => {
  it('are those of the embedded RoBERTa model', async () => {
    expect(expected.embedded).toHaveLength(100)
    expect(differing(await digestsOf(embeddedModel), expected.embedded)).toEqual([])
  })

  it.skipIf(minilm === undefined)('are those of MiniLM, a BERT (needs SALORA_TEST_MODEL)', async () => {
    expect(expected.minilm).toHaveLength(100)
    expect(differing(await digestsOf(minilm ?? ''), expected.minilm)).toEqual([])
  })
})
