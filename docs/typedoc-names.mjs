/** A plugin of TypeDoc: each module has the name by which it is imported. */
import { Converter } from 'typedoc'

const names = { index: 'salora', 'web/adapters': 'salora/adapters' }

export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children ?? []) module.name = names[module.name] ?? `salora/${module.name}`
  })
}
