/** Scores of grades: exact ones, and those that are off by one at most. */
export const toGrade = ([value = NaN]: readonly number[]): number => Math.min(2, Math.max(0, Math.round(value)))

export const gradeMetrics = ['exactGrade', 'withinOne'] as const

export const scoreGrades = (
  outputs: readonly (readonly number[])[],
  grades: readonly number[],
): Readonly<Record<(typeof gradeMetrics)[number], number>> => {
  const share = (distance: number): number =>
    outputs.filter((output, i) => Math.abs(toGrade(output) - (grades[i] ?? NaN)) <= distance).length / outputs.length
  return { exactGrade: share(0), withinOne: share(1) }
}
