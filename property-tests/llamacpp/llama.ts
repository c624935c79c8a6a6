/** llama.cpp, in a process of its own, and the hub's parser of GGUF: where `npm ci` in this folder installed them. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const require = createRequire(`${here}package.json`)

/** Whether everything is installed. Tests that need it name this command in their titles. */
export const hasLlamaCpp = ['node-llama-cpp', '@node-llama-cpp/linux-x64', '@huggingface/gguf'].every((name) =>
  existsSync(`${here}node_modules/${name}/package.json`),
)
export const needsLlamaCpp =
  '(needs llama.cpp: npm ci --prefix property-tests/llamacpp --ignore-scripts --omit=optional, on Linux with an x64 processor)'

export type Job = {
  /** the file of the model, and of an adapter on it */
  readonly model: string
  readonly adapter?: string
  /** token ids */
  readonly prompts?: readonly (readonly number[])[]
  /** tokens to write after each prompt, instead of probabilities */
  readonly greedy?: number
  /** positions, by which llama.cpp chooses LongRoPE's factors (default: at most 512) */
  readonly contextSize?: number
  /** to tokenize, with control tokens */
  readonly texts?: readonly string[]
}

export type Answer = {
  /** by prompt and token: the probabilities of the next token */
  readonly probabilities: readonly (readonly (readonly number[])[])[]
  readonly greedy: readonly (readonly number[])[]
  readonly tokens: readonly (readonly number[])[]
  readonly chatTemplate: string | null
}

/** One process for all jobs: it starts in a second. @throws Error with what the process printed if llama.cpp refuses a file */
export const askLlamaCpp = async <const Jobs extends readonly Job[]>(
  ...jobs: Jobs
): Promise<{ readonly [Index in keyof Jobs]: Answer }> => {
  const child = spawn(process.execPath, [`${here}worker.mjs`], { stdio: ['pipe', 'pipe', 'pipe'] })
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.stdin.end(JSON.stringify(jobs))
  const code = await ended
  if (code !== 0) throw new Error(`llama.cpp ended with ${code}: ${await stderr}`)
  return JSON.parse(await stdout) as { readonly [Index in keyof Jobs]: Answer }
}

export type ParsedGguf = {
  readonly metadata: Readonly<Record<string, unknown>>
  readonly tensorInfos: readonly {
    readonly name: string
    readonly shape: readonly bigint[]
    readonly dtype: number
    readonly offset: bigint
  }[]
}

/** A file as the hub's parser reads it. */
export const parsedByHub = async (file: string): Promise<ParsedGguf> => {
  const { gguf } = (await import(require.resolve('@huggingface/gguf'))) as {
    readonly gguf: (path: string, options: { readonly allowLocalFile: boolean }) => Promise<ParsedGguf>
  }
  return gguf(file, { allowLocalFile: true })
}

/** The largest difference of two nested lists of probabilities. */
export const largestDifference = (a: Answer['probabilities'], b: Answer['probabilities']): number => {
  const [left, right] = [a.flat(2), b.flat(2)]
  if (left.length !== right.length || left.length === 0) throw new Error(`expected as many numbers, got ${left.length} and ${right.length}`)
  return left.reduce((most, x, i) => Math.max(most, Math.abs(x - (right[i] ?? NaN))), 0)
}
