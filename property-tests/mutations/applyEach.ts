/** Applies each mutation to a copy of the tree, runs its tests there, and restores the file, whatever happens in between. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mutate, testFile, type Mutation } from './mutation.js'
import type { Verdict } from './scoreTable.js'
import type { WorkingCopy } from './workingCopy.js'

export type Outcome = {
  readonly mutation: Mutation
  readonly verdict: Verdict
  /** the test that failed, or why the mutation could not be tried */
  readonly why: string
  readonly seconds: number
}

export type TestRun = {
  readonly passed: boolean
  /** the first test that failed; '' if all passed */
  readonly failed: string
  /** test files with a failed test */
  readonly failedFiles: readonly string[]
}

/** @param bail whether to stop at the first failure */
export type RunTests = (files: readonly string[], options: { readonly bail: boolean }) => Promise<TestRun>

type Copy = Pick<WorkingCopy, 'root' | 'write'>

/** @param first whether to run the tests without a mutation first @param signal when aborted, no further mutation is applied */
export async function* applyEach(
  mutations: readonly Mutation[],
  copy: Copy,
  runTests: RunTests,
  { first = true, signal = new AbortController().signal }: { readonly first?: boolean; readonly signal?: AbortSignal } = {},
): AsyncGenerator<Outcome, void> {
  const files = [...new Set(mutations.flatMap(({ tests }) => tests.map(testFile)))].filter((file) => existsSync(join(copy.root, file)))
  const failing = !first || files.length === 0 ? [] : (await runTests(files, { bail: false })).failedFiles
  for (const mutation of mutations) {
    if (signal.aborted) return
    const began = performance.now()
    const outcome = await tryMutation(mutation, copy, failing, runTests)
    if (signal.aborted) return // its tests were stopped, which proves nothing
    yield { mutation, ...outcome, seconds: (performance.now() - began) / 1000 }
  }
}

const tryMutation = async (
  mutation: Mutation,
  { root, write }: Copy,
  failing: readonly string[],
  runTests: RunTests,
): Promise<Pick<Outcome, 'verdict' | 'why'>> => {
  const tests = mutation.tests.map(testFile)
  const missing = tests.find((file) => !existsSync(join(root, file)))
  if (missing !== undefined) return { verdict: 'stale', why: `no ${missing}` }
  const path = join(root, mutation.file)
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const mutated = mutate(text, mutation)
  if (mutated === null) return { verdict: 'stale', why: 'its code has changed' }
  const broken = tests.find((file) => failing.includes(file))
  if (broken !== undefined) return { verdict: 'untested', why: `${broken} fails without it` }
  try {
    write(mutation.file, mutated)
    const { passed, failed } = await runTests(tests, { bail: true })
    return passed ? { verdict: 'survived', why: tests.join(', ') } : { verdict: 'caught', why: failed }
  } finally {
    write(mutation.file, text)
  }
}
