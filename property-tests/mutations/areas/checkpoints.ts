/** Mutations of checkpoints: files of weights, tokenizers and the hub. */
import type { Mutation } from '../mutation.js'

export const checkpoints: ReadonlyArray<Mutation> = [
  {
    file: 'accelerated/checkpoints/tokenizer/truncation.ts',
    mistake: 'The shorter text gives way first.',
    before: 'return lengthB <= half ? [room - lengthB, lengthB] : [room - half, half]',
    after: 'return [Math.max(0, room - lengthB), Math.min(room, lengthB)]',
    tests: ['property/accelerated/tokenizer'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/truncation.ts',
    mistake: 'The second text gets the extra token always.',
    before: '[room - lengthB, lengthB] : [room - half, half]',
    after: '[room - lengthB, lengthB] : [half, room - half]',
    tests: ['property/accelerated/tokenizer'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/unigram.ts',
    mistake: 'Of equally good pieces the shortest last one wins.',
    before: 'candidate <= (best[end] ?? 0)',
    after: 'candidate < (best[end] ?? 0)',
    tests: ['property/accelerated/unigram'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/unigram.ts',
    mistake: 'Adjacent unknown characters are pieces of their own.',
    before: 'else if (!unknownAfter) backwards',
    after: 'else backwards',
    tests: ['property/accelerated/unigram'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/wordCache.ts',
    mistake: 'Words with the same hash share their ids.',
    before: ' || !this.holds(entry, text, start)) continue',
    after: ') continue',
    tests: ['property/accelerated/wordCache'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/wordCache.ts',
    mistake: 'The newest entry of a set is replaced.',
    before: '(this.used[entry] ?? 0) < (this.used[oldest] ?? 0)',
    after: '(this.used[entry] ?? 0) > (this.used[oldest] ?? 0)',
    tests: ['property/accelerated/wordCache'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/specialTokens.ts',
    mistake: 'The second text has the token type of the first.',
    before: '...second.map(() => secondType)',
    after: '...second.map(() => 0)',
    tests: ['property/accelerated/tokenizer'],
  },
  {
    file: 'accelerated/checkpoints/tokenizer/eosToken.ts',
    mistake: 'config.json wins over generation_config.json.',
    before: "['generation_config.json', 'config.json']",
    after: "['config.json', 'generation_config.json']",
    tests: ['property/accelerated/eosToken'],
  },
  {
    file: 'accelerated/checkpoints/hub/hubDownload.ts',
    mistake: 'A partial file is taken as whole.',
    before: 'if (actual !== hash) throw',
    after: 'if (false) throw',
    tests: ['hostile/hub/download'],
  },
  {
    file: 'accelerated/checkpoints/hub/partialFile.ts',
    mistake: 'A file that is sent anew keeps the old end.',
    before: 'await guarded(handle.truncate(at))',
    after: '',
    tests: ['hostile/hub/download'],
  },
  {
    file: 'accelerated/checkpoints/newestCheckpoint.ts',
    mistake: 'The oldest checkpoint is resumed.',
    before: '[...(await checkpointSteps(folder, storage))].reverse()',
    after: '[...(await checkpointSteps(folder, storage))]',
    tests: ['hostile/checkpoint'],
  },
  {
    file: 'accelerated/checkpoints/newestCheckpoint.ts',
    mistake: 'A damaged checkpoint is resumed.',
    before: 'if (damage !== null) {',
    after: 'if (damage === undefined) {',
    tests: ['hostile/checkpoint'],
  },
]
