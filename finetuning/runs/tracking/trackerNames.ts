/** The names of experiment trackers, and the file of a run folder that names the tracker's run. */

export const trackerNames = ['mlflow'] as const

export type TrackerName = (typeof trackerNames)[number]

export const trackerFile = (name: TrackerName): string => `${name}.json`
