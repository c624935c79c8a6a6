/** Where rounds and float16 pay, by the network's model: efficiency by the steps of a round, with a replica on each machine. */
import { byteLengthOf, type Exchange } from '../../finetuning/distributed/exchange.js'
import { efficiency, exchangeCosts, roundOf, type NetworkStep } from './networkModel.js'

/** Trained numbers at r = 8 of RoBERTa-base, and seconds of a replica's step. */
const [size, partSeconds] = [1_327_104, 0.5] as const

const networks = [
  { name: '1 Gbit/s', megabits: 1_000, roundTrip: 0 },
  { name: '100 Mbit/s, 20 ms', megabits: 100, roundTrip: 0.02 },
  { name: '10 Mbit/s, 50 ms', megabits: 10, roundTrip: 0.05 },
]

const [machineCounts, lengths] = [
  [2, 4, 8, 16, 32],
  [1, 8, 32, 128, 500],
] as const

const stepOn = (megabits: number, roundTrip: number, machines: number, exchange: Exchange): NetworkStep => ({
  ...{ machines, parts: machines, partSeconds, roundTrip, costs: exchangeCosts[exchange] },
  parameterBytes: byteLengthOf(size, 'float32', 'float32'),
  gradientBytes: byteLengthOf(size, 'float32', exchange),
  bandwidth: (megabits * 1e6) / 8,
})

const ofRounds = (step: NetworkStep, steps: number): number => efficiency(steps === 1 ? step : roundOf(step, steps, exchangeCosts.float32))

const percent = (share: number): string => `${Math.round(100 * share)} %`

console.log(`| network, round trip | --sync-every | ${machineCounts.map((count) => `${count} machines`).join(' | ')} |`)
console.log(`| --- | ---: |${' ---: |'.repeat(machineCounts.length)}`)
for (const { name, megabits, roundTrip } of networks)
  for (const steps of lengths) {
    const cells = machineCounts.map((machines) => percent(ofRounds(stepOn(megabits, roundTrip, machines, 'float32'), steps)))
    console.log(`| ${[name, steps, ...cells].join(' | ')} |`)
  }

/** Steps of a round, doubled until the efficiency is 80 %. */
const stepsFor = (step: NetworkStep): number => {
  let steps = 1
  while (ofRounds(step, steps) < 0.8) steps *= 2
  return steps
}

console.log(
  `\n| for 80 % | ${machineCounts.map((count) => `${count} machines`).join(' | ')} |\n| --- |${' ---: |'.repeat(machineCounts.length)}`,
)
for (const { name, megabits, roundTrip } of networks) {
  const cells = machineCounts.map((machines) => stepsFor(stepOn(megabits, roundTrip, machines, 'float32')))
  console.log(`| ${[name, ...cells].join(' | ')} |`)
}

/** Parts of 2 s a second: workers are limited by the leader's link, and the leader by what it takes from them. */
const partsPerSecond = (megabits: number, machines: number, exchange: Exchange): number => {
  const { costs, gradientBytes, bandwidth } = stepOn(megabits, 0, machines, exchange)
  const ofWorkers = (machines - 1) / (2 + costs.give + ((machines - 1) * gradientBytes) / bandwidth)
  return ofWorkers + (1 - costs.take * ofWorkers) / (2 + costs.round)
}

/** The bandwidth in Mbit/s below which float16 is faster, by bisection. */
const halfPaysBelow = (machines: number): number => {
  let [low, high] = [1, 1e6]
  for (let i = 0; i < 60; i++) {
    const middle = Math.sqrt(low * high)
    if (partsPerSecond(middle, machines, 'float16') > partsPerSecond(middle, machines, 'float32')) low = middle
    else high = middle
  }
  return low
}
console.log(
  `\nfloat16 pays below: ${machineCounts.map((count) => `${count} machines ${halfPaysBelow(count).toFixed(0)} Mbit/s`).join(', ')}`,
)
