/** The options of all kinds of tasks: each once, with what it means to one kind after another. */
import type { TaskFlag } from './task.js'
import { taskSources } from './sources/index.js'

const all = taskSources.flatMap(({ flags = [] }) => flags)

export const taskFlags: ReadonlyArray<TaskFlag> = [...new Set(all.map(({ name }) => name))].map((name) => {
  const own = all.filter((flag) => flag.name === name)
  return { name, takes: own.at(-1)?.takes ?? '', help: [...new Set(own.map(({ help }) => help))].join('; ') }
})
