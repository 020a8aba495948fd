export { parseAttestations, voidReason } from "./attestation.ts";
export type { Attestation } from "./attestation.ts";
export { catalogue, catalogueSources, requirementOf, selectRequirements } from "./catalogue/catalogue.ts";
export type { CatalogueFilter, RequirementId } from "./catalogue/catalogue.ts";
export { partsOfRequirement } from "./catalogue/parts.ts";
export type { RequirementPart } from "./catalogue/parts.ts";
export { normaliseRequirementId, partsOfId, typesOf } from "./catalogue/requirement-id.ts";
export { componentTypes, foundationalRequirements, securityLevels } from "./catalogue/requirement.ts";
export type {
  ComponentType,
  FoundationalRequirement,
  LinuxSource,
  LinuxVerdict,
  PaperVerdict,
  Requirement,
  RequirementParts,
  SecurityLevel,
} from "./catalogue/requirement.ts";
export { unanswered } from "./catalogue/unanswered.ts";
export type { Unanswered } from "./catalogue/unanswered.ts";
export type { Check, CheckMethod, Findings, Subject } from "./check.ts";
export type { CommandRecord, EvidenceKind, EvidenceRef, ExchangeRecord, TimingRecord } from "./evidence/evidence.ts";
export { makeRecorder } from "./evidence/recorder.ts";
export type { Recorder, RecorderOptions, RecordingRecorder } from "./evidence/recorder.ts";
export { makeRedactor } from "./evidence/redaction.ts";
export type { Redactor } from "./evidence/redaction.ts";
export { evidenceStore, storePath } from "./evidence/store.ts";
export type { EvidenceStore } from "./evidence/store.ts";
export { judgeCheck } from "./judge/check-result.ts";
export type { CheckOutcome, CheckRecord, CheckResult } from "./judge/check-result.ts";
export { judge, judgeRequirement } from "./judge/judge.ts";
export type { Question } from "./judge/judge.ts";
export { countsByFr, countVerdicts, levelsReached } from "./judge/level.ts";
export type { LevelVector, VerdictCounts } from "./judge/level.ts";
export { isFulfilled, worst } from "./judge/verdict.ts";
export type { NotApplicable, PartVerdict, Verdict, VerdictWord } from "./judge/verdict.ts";
export { needs } from "./need.ts";
export type { Need } from "./need.ts";
export { absence, capability, control, negative, repeated, repetitions } from "./observation.ts";
export type { Observation, ObservationInput, ObservationRole, Try } from "./observation.ts";
export { compare } from "./judge/compare.ts";
export type { Comparison, ObservationChange, VerdictChange } from "./judge/compare.ts";
export { assess, finishRun, readAssessment } from "./run/assessment.ts";
export type { Assessment } from "./run/assessment.ts";
export { keyFingerprint, signingKey, verifyRun } from "./run/manifest.ts";
export type { Verification } from "./run/manifest.ts";
export { componentKey } from "./run/plan.ts";
export type { RunPlan, SubjectFacts, ToolFacts } from "./run/plan.ts";
export { createRun, listRuns, newRunId, openRun, runPath } from "./run/run-folder.ts";
export type { RunFolder } from "./run/run-folder.ts";
export { putBackChanges, runChecks } from "./run/run.ts";
export type { RunOptions, RunProgress } from "./run/run.ts";
export { eachApart } from "./run/apart.ts";
export type { ApartOptions } from "./run/apart.ts";
export { keepSeries, parseSeriesFile, readSeries, thisMachine, writeSeries } from "./run/series.ts";
export type { Series, SeriesEntry, SeriesKeeper } from "./run/series.ts";
export { makeTurns } from "./run/turns.ts";
export type { Turns } from "./run/turns.ts";
export { endpointChecks } from "./endpoint/checks.ts";
export { openEndpoint } from "./endpoint/subject.ts";
export type { EndpointOptions, EndpointSubject } from "./endpoint/subject.ts";
export { hostChecks } from "./host/checks.ts";
export { openHost } from "./host/subject.ts";
export type { HostOptions, HostSubject } from "./host/subject.ts";
export { paperOpinion, treatments } from "./catalogue/treatments.ts";
export type { PaperOpinion, Treatment } from "./catalogue/treatments.ts";
export { jsonReport } from "./report/json.ts";
export { mappingRows } from "./report/mapping.ts";
export type { MappingRow } from "./report/mapping.ts";
export { makeReport, reportFormats } from "./report/report.ts";
export type { ReportFormat } from "./report/report.ts";
export { decidingReason, frTitles, reported, verdictText, verdictWords } from "./report/words.ts";
