/** Text that another app has shared with this one. It waits here until the user has chosen who receives it. */
export const shared: { text: string } = $state({ text: "" });
