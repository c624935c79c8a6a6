/** Applies each mutation to a copy of the tree, runs its tests there, and restores the file, whatever happens in between. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mutate, testFile, type Areas, type Mutation } from './mutation.js'
import type { WorkingCopy } from './workingCopy.js'

/**
 *  - caught: a test failed, or did not end
 *  - survived: all tests passed, so a test is missing
 *  - stale: the code or a test file has changed, so the mutation no longer applies
 *  - untested: its tests fail without it, so they prove nothing
 */
export type Verdict = 'caught' | 'survived' | 'stale' | 'untested'

export type Outcome = {
  readonly area: string
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
  areas: Areas,
  copy: Copy,
  runTests: RunTests,
  { first = true, signal = new AbortController().signal }: { readonly first?: boolean; readonly signal?: AbortSignal } = {},
): AsyncGenerator<Outcome, void> {
  const all = Object.entries(areas).flatMap(([area, mutations]) => mutations.map((mutation) => ({ area, mutation })))
  const files = [...new Set(all.flatMap(({ mutation }) => mutation.tests.map(testFile)))].filter((file) => textIn(copy, file) !== null)
  const without = !first || files.length === 0 ? [] : (await runTests(files, { bail: false })).failedFiles
  for (const { area, mutation } of all) {
    if (signal.aborted) return
    const began = performance.now()
    const verdict = await verdictOf(mutation, copy, new Set(without), runTests)
    if (signal.aborted) return // its tests were stopped, which says nothing
    yield { area, mutation, ...verdict, seconds: (performance.now() - began) / 1000 }
  }
}

const verdictOf = async (
  mutation: Mutation,
  copy: Copy,
  failing: ReadonlySet<string>,
  runTests: RunTests,
): Promise<Pick<Outcome, 'verdict' | 'why'>> => {
  const [tests, text] = [mutation.tests.map(testFile), textIn(copy, mutation.file)]
  const missing = tests.find((file) => textIn(copy, file) === null)
  if (missing !== undefined) return { verdict: 'stale', why: `no ${missing}` }
  const mutated = text === null ? null : mutate(text, mutation)
  if (text === null || mutated === null) return { verdict: 'stale', why: 'its code has changed' }
  const broken = tests.find((file) => failing.has(file))
  if (broken !== undefined) return { verdict: 'untested', why: `${broken} fails without it` }
  try {
    copy.write(mutation.file, mutated)
    const { passed, failed } = await runTests(tests, { bail: true })
    return passed ? { verdict: 'survived', why: tests.join(', ') } : { verdict: 'caught', why: failed }
  } finally {
    copy.write(mutation.file, text)
  }
}

const textIn = ({ root }: Copy, file: string): string | null => {
  try {
    return readFileSync(join(root, file), 'utf8')
  } catch {
    return null
  }
}
