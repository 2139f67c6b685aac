import { describe, expect, it } from "vitest"
import { cutByLength } from "../../src/postgres/statementSize.ts"

describe("the size of one statement", () => {
  const items = (...lengths: ReadonlyArray<number>) => lengths.map(length => ({ raw: "x".repeat(length) }))
  const lengthsOf = (pieces: ReadonlyArray<ReadonlyArray<{ readonly raw: string }>>) =>
    pieces.map(piece => piece.map(({ raw }) => raw.length))

  it("is bounded: longer ones are split in order, without loss", () => {
    expect(lengthsOf(cutByLength(items(3, 3, 4, 1, 10, 2, 25, 1, 1), 10))).toEqual([
      [3, 3, 4],
      [1],
      [10],
      [2],
      [25],
      [1, 1],
    ])
    expect(cutByLength([], 10)).toEqual([])
    expect(lengthsOf(cutByLength(items(0, 0, 0), 10))).toEqual([[0, 0, 0]])
  })
})
