/** What commander says of what was typed, in the form of every other mistake. */
import type { CommanderError } from 'commander'

/** commander writes `error: unknown option '--foo'` and a suggestion on a line of its own. */
export const commanderMessage = ({ code, message }: CommanderError): string => {
  const [first = '', ...rest] = message.replace(/^error: /, '').split('\n')
  const suggestion = /Did you mean (.*)\?/.exec(rest.join(' '))?.[1]
  const told = suggestion === undefined ? '' : `; did you mean ${suggestion}?`
  const quoted = /'([^']*)'/.exec(first)?.[1] ?? ''
  switch (code) {
    case 'commander.unknownOption':
      return `${quoted}: expected a flag that the command knows (--help lists them), got an unknown one${told}`
    case 'commander.optionMissingArgument':
    case 'commander.missingMandatoryOptionValue':
      return `${quoted.split(' ').find((word) => word.startsWith('--')) ?? quoted}: expected a value, got none`
    case 'commander.missingArgument':
      return `${quoted.toUpperCase()}: expected a word in its place (--help lists them), got none`
    case 'commander.unknownCommand':
      return `salora ${quoted}: expected a command that salora knows (--help lists them), got an unknown one${told}`
    case 'commander.excessArguments':
      return `salora: expected flags only, got a word that belongs to none (${first})`
    default:
      return first
  }
}
