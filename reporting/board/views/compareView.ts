/** Several runs side by side, with the settings in which they differ. */
import { escapeText } from '../../charts/escapeText.js'
import type { CompareView } from '../events.js'
import type { WatchedRun } from '../watchRun.js'
import { runLine } from './runLine.js'
import { settingsOf } from './settings.js'

export const compareView = (runs: ReadonlyArray<WatchedRun>): CompareView => {
  const settings = runs.map(({ config }) => new Map(config === null ? [] : settingsOf(config)))
  const names = [...new Set(settings.flatMap((ofRun) => [...ofRun.keys()]))]
  const differing = names.filter((name) => new Set(settings.map((ofRun) => ofRun.get(name))).size > 1)
  return {
    lines: runs.map(runLine),
    differences: {
      caption:
        differing.length === 0 ? 'The runs have the same settings.' : `The runs differ in ${differing.length} of ${names.length} settings.`,
      columns: ['setting', ...runs.map(({ name }) => escapeText(name))],
      rows: differing.map((name) => [name, ...settings.map((ofRun) => ofRun.get(name) ?? '–')]),
    },
  }
}
