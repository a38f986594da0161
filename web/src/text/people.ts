/** The texts of the people list, loaded with it. The rules are those of en.ts. */
export const peopleText = {
  title: "People",
  search: "Search by name or username",
  clear: "Clear the search",
  label: "People",
  found: (n: number) => (n === 0 ? "Nobody found" : n === 1 ? "1 person" : `${n} people`),
  none: (query: string) => `Nobody here is called “${query}”.`,
  noneDo: "Clear the search",
  alone: "You are the first one here. Send a friend the address of this page.",
  aloneDo: "Copy the address",
  more: "Show more",
} as const;
