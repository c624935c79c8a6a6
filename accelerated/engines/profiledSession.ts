/**
 * A session whose first run is profiled: this binding has no other way to learn where ONNX Runtime put each node. The profile is a file in a
 * temporary folder, which is removed. Later runs are not profiled.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Session } from './engine.js'
import { placementOf, type Placement } from './placement.js'

/** endProfile: writes the file of the profile, and ends it */
type Profiled = { readonly session: Session; readonly endProfile: () => Promise<void> }

/**
 * @param open opens the session with profiles whose names begin with this path
 * @param report takes the placement of the first run; null if there is no profile that can be read. What it throws, the run throws.
 */
export const profiledSession = async (
  open: (profile: string) => Promise<Profiled>,
  report: (placement: Placement | null) => void,
): Promise<Session> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-placement-'))
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  const { session, endProfile } = await open(join(folder, 'run')).catch(async (thrown: unknown) => {
    await remove()
    throw thrown
  })
  const placement = async (): Promise<Placement> => {
    await endProfile()
    const [file = ''] = await readdir(folder)
    return placementOf(await readFile(join(folder, file), 'utf8'))
  }
  let isFirst = true
  const watched =
    (run: Session['run']): Session['run'] =>
    async (feeds, into) => {
      const results = await run(feeds, into)
      if (!isFirst) return results
      isFirst = false
      const found = await placement().catch(() => null)
      await remove()
      report(found)
      return results
    }
  const { another } = session
  return {
    ...session,
    run: watched(session.run),
    ...(another && {
      another: () => {
        const own = another()
        return { ...own, run: watched(own.run) }
      },
    }),
    release: async () => {
      await session.release()
      await remove()
    },
  }
}
