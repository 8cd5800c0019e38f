// Judges register histories with Porcupine and says how long each took.
//
// Standard input: {"limit_s": 15, "histories": [[operation, …], …]}. An operation is
// {"client", "f": "read" | "write" | "cas", "value", "expected",
// "kind": "ok" | "info" | "refused", "start", "end"}; null is the initial value.
// Standard output: [{"verdict", "seconds"}, …] with the verdicts valid, invalid and unknown
// (the limit was reached).
package main

import (
	"encoding/json"
	"log"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Client   int    `json:"client"`
	F        string `json:"f"`
	Value    *int64 `json:"value"`
	Expected *int64 `json:"expected"`
	Kind     string `json:"kind"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
}

type question struct {
	LimitS    float64       `json:"limit_s"`
	Histories [][]operation `json:"histories"`
}

type answer struct {
	Verdict string  `json:"verdict"`
	Seconds float64 `json:"seconds"`
}

const nothing = math.MinInt64

type input struct {
	f               string
	value, expected int64
}

type output struct {
	known, refused bool
	value          int64
}

func number(value *int64) int64 {
	if value == nil {
		return nothing
	}
	return *value
}

// The states are numbers; what has no answer may have any, so every answer fits it.
var register = porcupine.Model{
	Init: func() interface{} { return int64(nothing) },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		held, asked, told := state.(int64), in.(input), out.(output)
		switch asked.f {
		case "read":
			return !told.known || told.value == held, held
		case "write":
			return true, asked.value
		default:
			if held != asked.expected {
				return !told.known || told.refused, held
			}
			return !told.refused, asked.value
		}
	},
}

func read(rows []operation) []porcupine.Operation {
	operations := make([]porcupine.Operation, 0, len(rows))
	for _, row := range rows {
		value := number(row.Value)
		told := output{known: row.Kind != "info", refused: row.Kind == "refused", value: value}
		end := row.End
		if row.Kind == "info" {
			if row.F == "read" {
				continue // it changes nothing and tells nothing
			}
			end = math.MaxInt64
		}
		operations = append(operations, porcupine.Operation{
			ClientId: row.Client,
			Input:    input{row.F, value, number(row.Expected)},
			Call:     row.Start,
			Output:   told,
			Return:   end,
		})
	}
	return operations
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	limit := time.Duration(asked.LimitS * float64(time.Second))
	names := map[porcupine.CheckResult]string{
		porcupine.Ok: "valid", porcupine.Illegal: "invalid", porcupine.Unknown: "unknown",
	}
	answers := make([]answer, 0, len(asked.Histories))
	for _, rows := range asked.Histories {
		operations := read(rows)
		began := time.Now()
		result := porcupine.CheckOperationsTimeout(register, operations, limit)
		answers = append(answers, answer{names[result], time.Since(began).Seconds()})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
