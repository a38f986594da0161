/** The error of a call that failed, for fakes of the view. */
export { ApiProblem } from "../../net/problem";
