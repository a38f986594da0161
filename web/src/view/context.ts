import { createContext } from "svelte";
import type { App, Chat } from "../model";

/** Returns the model. For every component below App.svelte. */
export const [getApp, setApp] = createContext<App>();

/** Returns the part of the model of the signed-in user. For every component below shell/Shell.svelte. */
export const [getChat, setChat] = createContext<Chat>();

/** Returns whether messages of the open conversation can be answered. For components below Conversation.svelte. */
export const [getReplies, setReplies] = createContext<() => boolean>();
