/**
 * npm run size: lines and files of each room beside its budget (scripts/budget.json). A room above its budget fails the check. Whoever raises a
 * number says in the commit what left, or why nothing could.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

const budget = JSON.parse(readFileSync('scripts/budget.json', 'utf8'))
const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' }).split('\n')
const sources = listed.filter((file) => /\.(ts|mjs|css|md)$/.test(file) && existsSync(file))

const rooms = Object.entries(budget).map(([room, { lines, files }]) => {
  const extension = room === 'docs' ? '.md' : '.ts'
  const own = sources.filter((file) => file.startsWith(`${room}/`) && file.endsWith(extension))
  const counted = own.reduce((sum, file) => sum + readFileSync(file, 'utf8').split('\n').length - 1, 0)
  return { room, lines: counted, files: own.length, budget: { lines, files }, exceeds: counted > lines || own.length > files }
})
for (const { room, lines, files, budget: allowed, exceeds } of rooms)
  console.log(
    `${room.padEnd(15)}${String(lines).padStart(7)} of ${String(allowed.lines).padStart(6)} lines${String(files).padStart(6)} of ${String(allowed.files).padStart(5)} files${exceeds ? '  exceeds its budget' : ''}`,
  )
const product = rooms.filter(({ room }) => room !== 'property-tests' && room !== 'docs')
const total = (key) => product.reduce((sum, room) => sum + room[key], 0)
console.log(`${'product'.padEnd(15)}${String(total('lines')).padStart(7)} lines in ${total('files')} files`)
process.exitCode = rooms.some(({ exceeds }) => exceeds) ? 1 : 0
