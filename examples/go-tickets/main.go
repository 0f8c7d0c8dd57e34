// Tickets for events, at most two for each buyer. Buyers are UUIDs; PostgreSQL keeps all of it.
//
// One statement takes a seat and writes the ticket: no answer from the database, no ticket. It is
// honest under every fault that we tried; slow it may be.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
)

const schema = `
CREATE TABLE IF NOT EXISTS events (name text PRIMARY KEY, seats int NOT NULL, sold int NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS tickets (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	event text NOT NULL REFERENCES events,
	buyer uuid NOT NULL,
	number int NOT NULL CHECK (number <= 2),
	UNIQUE (event, buyer, number)
)`

// The seat is taken only where the ticket can be written, and both or none of it happens.
const buy = `
WITH held AS (SELECT count(*) + 1 AS number FROM tickets WHERE event = $1 AND buyer = $2),
seat AS (
	UPDATE events SET sold = sold + 1
	WHERE name = $1 AND sold < seats AND (SELECT number FROM held) <= 2 RETURNING name
)
INSERT INTO tickets (event, buyer, number) SELECT name, $2, (SELECT number FROM held) FROM seat
RETURNING id`

const why = `SELECT seats - sold, (SELECT count(*) FROM tickets WHERE event = $1 AND buyer = $2)
FROM events WHERE name = $1`

const connections = 50

type reply map[string]any

type shop struct{ db *sql.DB }

func main() {
	address := os.Getenv("DATABASE_URL")
	if !strings.Contains(address, "sslmode=") {
		address += "?sslmode=disable"
	}
	db, err := sql.Open("postgres", address)
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if _, err = db.Exec(schema); err != nil {
		log.Fatal(err)
	}
	if err = warm(db); err != nil {
		log.Fatal(err)
	}
	shop := shop{db}
	http.HandleFunc("/health", shop.health)
	http.HandleFunc("/events", shop.create)
	http.HandleFunc("/events/", shop.event)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// Opens all connections now: to open one takes many ways there and back, which is slow when all is.
func warm(db *sql.DB) error {
	for range [connections]int{} {
		one, err := db.Conn(context.Background())
		if err != nil {
			return err
		}
		defer one.Close()
	}
	return nil
}

func (s shop) health(w http.ResponseWriter, r *http.Request) {
	if err := s.db.PingContext(r.Context()); err != nil {
		send(w, http.StatusServiceUnavailable, reply{"error": err.Error()})
		return
	}
	send(w, http.StatusOK, reply{"status": "up"})
}

// POST /events {"name": …, "seats": …}
func (s shop) create(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Name  string `json:"name"`
		Seats int    `json:"seats"`
	}
	if json.NewDecoder(r.Body).Decode(&event) != nil || event.Name == "" {
		send(w, http.StatusBadRequest, reply{"error": "name and seats are needed"})
		return
	}
	if _, err := s.db.ExecContext(r.Context(),
		"INSERT INTO events (name, seats) VALUES ($1, $2)", event.Name, event.Seats); err != nil {
		send(w, http.StatusConflict, reply{"error": err.Error()})
		return
	}
	send(w, http.StatusCreated, reply{"name": event.Name})
}

// POST /events/{name}/tickets {"buyer": UUID}, or GET of the same: who has one.
func (s shop) event(w http.ResponseWriter, r *http.Request) {
	name, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/events/"), "/")
	switch {
	case what == "tickets" && r.Method == http.MethodPost:
		s.sell(w, r, name)
	case what == "tickets":
		s.list(w, r, name)
	default:
		send(w, http.StatusNotFound, reply{"error": "no such page"})
	}
}

func (s shop) sell(w http.ResponseWriter, r *http.Request, name string) {
	var asked struct {
		Buyer string `json:"buyer"`
	}
	if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Buyer == "" {
		send(w, http.StatusBadRequest, reply{"error": "buyer is needed"})
		return
	}
	ctx, done := context.WithTimeout(r.Context(), 3*time.Second)
	defer done()
	var id string
	err := s.db.QueryRowContext(ctx, buy, name, asked.Buyer).Scan(&id)
	for errors.As(err, new(*pq.Error)) && isTaken(err) { // asked twice at once: count again
		err = s.db.QueryRowContext(ctx, buy, name, asked.Buyer).Scan(&id)
	}
	if errors.Is(err, sql.ErrNoRows) {
		s.refuse(ctx, w, name, asked.Buyer)
	} else if err != nil {
		send(w, http.StatusInternalServerError, reply{"error": err.Error()}) // it may have happened
	} else {
		send(w, http.StatusCreated, reply{"ticket": reply{"id": id, "event": name}})
	}
}

func isTaken(err error) bool {
	var refusal *pq.Error
	return errors.As(err, &refusal) && refusal.Code == "23505"
}

// Nothing was sold: is it the buyer, or the hall?
func (s shop) refuse(ctx context.Context, w http.ResponseWriter, name, buyer string) {
	var left, held int
	switch err := s.db.QueryRowContext(ctx, why, name, buyer).Scan(&left, &held); {
	case errors.Is(err, sql.ErrNoRows):
		send(w, http.StatusNotFound, reply{"error": "no such event"})
	case err != nil:
		send(w, http.StatusServiceUnavailable, reply{"error": "nothing sold", "cause": err.Error()})
	case held >= 2:
		send(w, http.StatusConflict, reply{"error": "two tickets are held already"})
	default:
		send(w, http.StatusGone, reply{"error": "sold out"})
	}
}

func (s shop) list(w http.ResponseWriter, r *http.Request, name string) {
	var seats int
	err := s.db.QueryRowContext(r.Context(), "SELECT seats FROM events WHERE name = $1", name).Scan(&seats)
	if err != nil {
		send(w, http.StatusNotFound, reply{"error": "no such event"})
		return
	}
	rows, err := s.db.QueryContext(r.Context(), "SELECT buyer, id FROM tickets WHERE event = $1", name)
	if err != nil {
		send(w, http.StatusInternalServerError, reply{"error": err.Error()})
		return
	}
	defer rows.Close()
	tickets := []reply{}
	for rows.Next() {
		var buyer, id string
		if err = rows.Scan(&buyer, &id); err != nil {
			break
		}
		tickets = append(tickets, reply{"userId": buyer, "issueId": id})
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		send(w, http.StatusInternalServerError, reply{"error": err.Error()})
		return
	}
	send(w, http.StatusOK, reply{"code": name, "stock": seats, "rows": tickets})
}

func send(w http.ResponseWriter, status int, body reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
