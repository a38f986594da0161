import { createContext } from "svelte";
import type { App, Chat } from "../model";

/** The model, for every component below App.svelte. */
export const [getApp, setApp] = createContext<App>();

/** The signed-in person's part of it, for every component below shell/Shell.svelte. */
export const [getChat, setChat] = createContext<Chat>();

/** Whether messages of the open conversation can be answered, for every component below conversation/Conversation.svelte. */
export const [getReplies, setReplies] = createContext<() => boolean>();
